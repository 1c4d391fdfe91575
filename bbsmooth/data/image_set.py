"""The protocol of data sets, as the rest of bbsmooth knows them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bbsmooth.errors import DataError as DataError

if TYPE_CHECKING:
    from torch import Tensor


class Split(StrEnum):
    """A part of a data set."""

    TRAIN = "train"
    TEST = "test"


NAMES_OF_SPLITS = {Split.TRAIN: ("train",), Split.TEST: ("test", "val", "valid", "validation")}
"""Names of each split in folders and files, the preferred name first."""

SPLIT_WORDS = frozenset(name for names in NAMES_OF_SPLITS.values() for name in names)


def pick_split(held: Collection[str], split: Split, place: str) -> str:
    """The name under which `place` holds a split.

    Raises:
        DataError: it does not hold it.
    """
    for name in NAMES_OF_SPLITS[split]:
        if name in held:
            return name
    raise DataError(
        f"{place} holds {', '.join(sorted(held))} and no {split} split; add it, or ask for a split that is there"
    )


@runtime_checkable
class ImageSet(Protocol):
    """Images of one shape, with or without labels, by index."""

    @property
    def name(self) -> str:
        """For people: "mnist5k", "folder:photos"."""
        ...

    @property
    def split(self) -> Split:
        """The split that was asked for."""
        ...

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the labels, None where the images have none."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hexadecimal sha256 of what the set holds, see `bbsmooth.data.digests`."""
        ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def image(self, index: int) -> Tensor:
        """One image, (C, H, W) uint8.

        Raises:
            DataError: it cannot be read, or its shape is not `image_shape`.
        """
        ...

    def label(self, index: int) -> int | None:
        """Its label, None where the images have none."""
        ...

    def images(self, indices: Sequence[int]) -> Tensor:
        """Several images, (B, C, H, W) uint8.

        Raises:
            DataError: as `image`.
        """
        ...

    def labels(self, indices: Sequence[int]) -> Tensor:
        """Their labels, (B,) int64.

        Raises:
            DataError: the images have none.
        """
        ...


def check(dataset: ImageSet, limit: int | None = None) -> None:
    """Read the first `limit` images (None: all), so that a run does not stop at a bad one after it has cost money.

    Every image is decoded in full, since a header does not tell that the rest of the file is missing. That costs
    milliseconds an image, where certifying it costs thousands of queries.

    Raises:
        DataError: an image cannot be read or has another shape, or `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise DataError(f"the limit must be at least 1 image, got {limit}")
    for index in range(len(dataset) if limit is None else min(limit, len(dataset))):
        dataset.image(index)
