"""A data set of images in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bbsmooth.data.digests import digest_arrays
from bbsmooth.data.image_set import Split
from bbsmooth.errors import DataError


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GivenImages:
    """An `ImageSet` in memory.

    Attributes:
        pixels: (N, C, H, W) uint8.
        targets: (N,) labels, or None.
    """

    name: str
    split: Split
    classes: tuple[str, ...] | None
    fingerprint: str
    pixels: Tensor
    targets: NDArray[np.int64] | None

    @classmethod
    def of(
        cls,
        name: str,
        split: Split,
        pixels: Tensor,
        targets: NDArray[np.int64] | None = None,
        classes: tuple[str, ...] | None = None,
    ) -> GivenImages:
        """The set of these images, fingerprinted as the same arrays in an .npz file."""
        array = pixels.numpy()
        stored = array[:, 0] if array.shape[1] == 1 else np.ascontiguousarray(array.transpose(0, 2, 3, 1))
        fingerprint = digest_arrays(classes, stored, targets)
        return cls(name=name, split=split, classes=classes, fingerprint=fingerprint, pixels=pixels, targets=targets)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    def __len__(self) -> int:
        """Number of images."""
        return len(self.pixels)

    def image(self, index: int) -> Tensor:
        """One image, (C, H, W) uint8."""
        return self.pixels[index]

    def label(self, index: int) -> int | None:
        """Its label, None where the images have none."""
        return None if self.targets is None else int(self.targets[index])

    def images(self, indices: Sequence[int]) -> Tensor:
        """Several images, (B, C, H, W) uint8."""
        return self.pixels[list(indices)]

    def labels(self, indices: Sequence[int]) -> Tensor:
        """Their labels, (B,) int64.

        Raises:
            DataError: the images have none.
        """
        if self.targets is None:
            raise DataError(f"{self.name} have no labels; give `labels`, one an image")
        return torch.from_numpy(self.targets[list(indices)])
