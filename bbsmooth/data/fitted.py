"""A source seen as images of one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from bbsmooth.data.digests import digest_values
from bbsmooth.data.image_set import Split
from bbsmooth.data.resize import fit, to_tensor
from bbsmooth.data.source import Source
from bbsmooth.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class FittedImages:
    """An `ImageSet` over a source.

    Attributes:
        source: where the pictures come from.
        split: the split that was asked for.
        image_shape: (C, H, W) of every image.
        margin: None takes pictures as they are and refuses any other shape; otherwise see `fit`.
    """

    source: Source
    split: Split
    image_shape: tuple[int, int, int]
    margin: Fraction | None

    @property
    def name(self) -> str:
        """For people."""
        return self.source.name

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the labels, None where the images have none."""
        return self.source.classes

    @property
    def fingerprint(self) -> str:
        """The source's; with the conversion, where there is one."""
        if self.margin is None:
            return self.source.fingerprint
        return digest_values(self.source.fingerprint, self.image_shape, str(self.margin))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.source)

    def image(self, index: int) -> Tensor:
        """One image, (C, H, W) uint8.

        Raises:
            DataError: it cannot be read, or its shape is not `image_shape`.
        """
        if self.margin is not None:
            return to_tensor(fit(self.source.picture(index), self.image_shape, self.margin))
        image = self.source.tensor(index)
        if image.shape != self.image_shape:
            raise DataError(
                f"{self.source.place(index)} has shape {tuple(image.shape)} among images of shape {self.image_shape}; "
                "add `resize=True` and an oracle that states its shape, or bring the images to one shape"
            )
        return image

    def label(self, index: int) -> int | None:
        """Its label, None where the images have none."""
        return None if self.source.targets is None else int(self.source.targets[index])

    def images(self, indices: Sequence[int]) -> Tensor:
        """Several images, (B, C, H, W) uint8.

        Raises:
            DataError: as `image`.
        """
        import torch

        images = torch.empty((len(indices), *self.image_shape), dtype=torch.uint8)
        for row, index in enumerate(indices):
            images[row] = self.image(index)
        return images

    def labels(self, indices: Sequence[int]) -> Tensor:
        """Their labels, (B,) int64.

        Raises:
            DataError: the images have none.
        """
        import torch

        if self.source.targets is None:
            raise DataError(f"{self.name} has no labels; use one folder per class, or an array y")
        return torch.from_numpy(self.source.targets[list(indices)])
