"""Labels: checking them, and the orders and splits that follow from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbsmooth.errors import DataError

MOST_CLASSES = 2**16  # a larger label without a name is a mistake, not one of so many classes

TEST_EVERY = 5


def check_labels(
    labels: NDArray[Any], *, images: int, num_classes: int = MOST_CLASSES, place: str
) -> NDArray[np.int64]:
    """The labels of `images` images as (N,) int64.

    Raises:
        DataError: not one whole number an image, or one outside 0 to `num_classes` - 1.
    """
    if labels.shape != (images,):
        raise DataError(f"{place} has shape {labels.shape} for {images} images; one label an image is needed")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{place} is of type {labels.dtype}; labels must be whole numbers, none missing")
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        first = outside[0]
        raise DataError(
            f"{place} has the label {labels[first]} at image {first}; labels must lie in 0 to {num_classes - 1}"
        )
    return labels.astype(np.int64)


def numbered_classes(num_classes: int) -> tuple[str, ...]:
    """The names "0", "1", ..., for labels that have none."""
    return tuple(map(str, range(num_classes)))


def round_robin(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order that takes the first image of each class, then the second of each, ...: its beginnings are balanced.

    Args:
        labels: (N,).

    Returns:
        (N,) indices into `labels`.
    """
    return np.lexsort((labels, _positions_in_class(labels))).astype(np.int64)


def held_out(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which images are for testing: within each class every fifth in file order, position % 5 == 4.

    Args:
        labels: (N,).

    Returns:
        (N,) mask.
    """
    return np.equal(_positions_in_class(labels) % TEST_EVERY, TEST_EVERY - 1)


def _positions_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    positions = np.empty_like(labels)
    for label in np.unique(labels):
        members = labels == label
        positions[members] = np.arange(members.sum())
    return positions
