"""Sources of images, before any conversion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from bbsmooth.data.digests import digest_arrays
from bbsmooth.data.pictures import open_picture
from bbsmooth.data.resize import to_tensor
from bbsmooth.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class Source(Protocol):
    """Stored pictures of any size; at least one."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the labels, None where the pictures have none."""
        ...

    @property
    def targets(self) -> NDArray[np.int64] | None:
        """(N,) labels, or None."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hexadecimal sha256, see `bbsmooth.data.digests`."""
        ...

    def __len__(self) -> int:
        """Number of pictures."""
        ...

    def place(self, index: int) -> str:
        """Name of a picture, for an error."""
        ...

    def picture(self, index: int) -> Image.Image:
        """Read one picture, of mode "L" or "RGB".

        Raises:
            DataError: it cannot be read, or has other channels.
        """
        ...

    def tensor(self, index: int) -> Tensor:
        """Read one picture as it is stored, (C, H, W) uint8.

        Raises:
            DataError: it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySource:
    """Pictures in memory.

    Attributes:
        pixels: (N, H, W) grey or (N, H, W, C), uint8.
    """

    name: str
    classes: tuple[str, ...] | None
    targets: NDArray[np.int64] | None
    fingerprint: str
    pixels: NDArray[np.uint8]

    @classmethod
    def of(
        cls,
        name: str,
        pixels: NDArray[np.uint8],
        targets: NDArray[np.int64] | None,
        classes: tuple[str, ...] | None,
    ) -> ArraySource:
        """The source that holds these arrays, fingerprinted."""
        fingerprint = digest_arrays(classes, pixels, targets)
        return cls(name=name, classes=classes, targets=targets, fingerprint=fingerprint, pixels=pixels)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.pixels)

    def place(self, index: int) -> str:
        """Name of a picture, for an error."""
        return f"image {index} of {self.name}"

    def picture(self, index: int) -> Image.Image:
        """Read one picture.

        Raises:
            DataError: it is neither grey nor in colours.
        """
        if self.pixels.shape[3:] not in ((), (3,)):
            raise DataError(
                f"{self.place(index)} has {self.pixels.shape[3]} channels and cannot be resized; leave out `resize`, "
                "and store images of the oracle's size"
            )
        return Image.fromarray(self.pixels[index])

    def tensor(self, index: int) -> Tensor:
        """Read one picture, (C, H, W) uint8."""
        return to_tensor(self.pixels[index])


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """Pictures in files of their own, decoded when asked for."""

    name: str
    classes: tuple[str, ...] | None
    targets: NDArray[np.int64] | None
    fingerprint: str
    files: tuple[Path, ...]

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.files)

    def place(self, index: int) -> str:
        """Name of a picture, for an error."""
        return str(self.files[index])

    def picture(self, index: int) -> Image.Image:
        """Read one picture.

        Raises:
            DataError: it cannot be read.
        """
        return open_picture(self.files[index], self.place(index))

    def tensor(self, index: int) -> Tensor:
        """Read one picture, (1 or 3, H, W) uint8.

        Raises:
            DataError: it cannot be read.
        """
        return to_tensor(self.picture(index))
