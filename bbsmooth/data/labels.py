"""Labels: reading them as users keep them, and the orders and splits that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bbsmooth.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CLASSES = 2**20  # a larger label without a name is a mistake, not one of that many classes

TEST_EVERY = 5

_HINTS = ("label", "class", "target", "category")


class ImageLabels(NamedTuple):
    """Labels of images.

    Attributes:
        classes: names in the order of their numbers.
        targets: (N,) numbers.
    """

    classes: tuple[str, ...]
    targets: NDArray[np.int64]


def read_labels(
    values: Any,
    *,
    images: int,
    place: str,
    names: Sequence[str] | None = None,
    elsewhere: Mapping[str, Any] = MappingProxyType({}),
) -> ImageLabels:
    """Labels from an array or list with one entry an image: whole numbers, or the names of classes.

    Booleans count as 0 and 1, floats that are whole as whole numbers, and an entry may be a list of one label. Numbers
    without names are called by themselves: from 1 where they are exactly 1 to K, else from 0. Names without an order
    are sorted as strings. K numbers from 1 to K mean the K `names` that are given.

    Args:
        values: NumPy array, torch tensor or list, (N,) or (N, 1).
        images: N.
        place: of the labels, for an error.
        names: of the classes in the order of their numbers, where they are known.
        elsewhere: labels of other splits, by their place; they share the classes.

    Raises:
        DataError: not one label an image, a missing one, one of another type, or one that no name stands for.
    """
    found = _column(values, place, images)
    every = {place: found} | {other: _column(column, other, len(column)) for other, column in elsewhere.items()}
    if len({column.dtype.kind for column in every.values()}) > 1:
        raise DataError(f"{place} holds names in one split and numbers in another; use one of them")
    return _by_name(found, every, place, names) if found.dtype.kind == "U" else _by_number(found, every, place, names)


def looks_like_labels(name: str) -> bool:
    """True if the name of a column or an array may be one of labels, which are not to be left out silently."""
    return any(hint in name.lower() for hint in _HINTS)


def numbered_classes(num_classes: int) -> tuple[str, ...]:
    """The names "0", "1", ..., for labels that have none."""
    return tuple(map(str, range(num_classes)))


def _by_name(
    found: NDArray[Any], every: Mapping[str, NDArray[Any]], place: str, names: Sequence[str] | None
) -> ImageLabels:
    present = {str(name) for column in every.values() for name in column}
    classes = tuple(names) if names else tuple(sorted(present))
    numbers = {name: number for number, name in enumerate(classes)}
    strange = next((index for index, name in enumerate(found) if str(name) not in numbers), None)
    if strange is not None:
        raise DataError(
            f"{place} has the label {str(found[strange])!r} at image {strange}, which is none of the "
            f"{len(classes)} classes {', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''}"
        )
    return ImageLabels(classes, np.array([numbers[str(name)] for name in found], dtype=np.int64))


def _by_number(
    found: NDArray[Any], every: Mapping[str, NDArray[Any]], place: str, names: Sequence[str] | None
) -> ImageLabels:
    present = np.unique(np.concatenate(list(every.values())))
    from_one = len(present) > 1 and np.array_equal(present, np.arange(1, len(present) + 1))
    if names:
        shift = int(from_one and len(present) == len(names))
        return ImageLabels(tuple(names), _inside(found - shift, len(names), place))
    for other, column in every.items():
        _inside(column, MOST_CLASSES, other)
    classes = numbered_classes(int(present.max(initial=0)) + 1)
    return ImageLabels(classes[1:], found - 1) if from_one else ImageLabels(classes, found)


def _inside(numbers: NDArray[np.int64], num_classes: int, place: str) -> NDArray[np.int64]:
    outside = np.flatnonzero((numbers < 0) | (numbers >= num_classes))
    if len(outside):
        first = outside[0]
        hint = "; where -1 stands for no label, choose a split that has labels" if numbers[first] == -1 else ""
        raise DataError(
            f"{place} has the label {numbers[first]} at image {first}; labels must lie in 0 to {num_classes - 1}{hint}"
        )
    return numbers


def _column(values: Any, place: str, images: int) -> NDArray[Any]:
    """(N,) int64 or text."""
    array = _as_array(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (images,):
        hint = "; of one-hot rows take the argmax" if array.ndim == 2 and len(array) == images else ""
        raise DataError(f"{place} has shape {array.shape} for {images} images; one label an image is needed{hint}")
    if array.dtype.kind == "O":
        array = _unpacked(array, place)
    if array.dtype.kind == "U":
        return array
    if array.dtype.kind == "f":
        strange = np.flatnonzero(~np.isfinite(array) | (array != np.floor(array)))
        if len(strange):
            raise DataError(
                f"{place} is of type {array.dtype} and has the label {array[strange[0]]} at image {strange[0]}; "
                "labels must be whole numbers or names, none missing"
            )
    elif array.dtype.kind not in "biu":
        raise DataError(f"{place} is of type {array.dtype}; labels must be whole numbers or names")
    return array.astype(np.int64)


def _as_array(values: Any) -> NDArray[Any]:
    if isinstance(values, list | tuple):
        array = np.empty(len(values), dtype=object)
        for index, value in enumerate(values):  # at once, numpy would make lists of one label another axis
            array[index] = value
        return array
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _unpacked(array: NDArray[Any], place: str) -> NDArray[Any]:
    """Entries of any type as an array of one type, lists of one label opened."""
    entries = []
    for index, entry in enumerate(array):
        single = entry.tolist() if hasattr(entry, "tolist") else entry
        if isinstance(single, list | tuple):
            if len(single) != 1:
                raise DataError(f"{place} has {len(single)} labels at image {index}; one label an image is needed")
            single = single[0]
        if single is None or not isinstance(single, str | bool | int | float):
            said = "no label" if single is None else f"a label of type {type(single).__name__}"
            raise DataError(f"{place} has {said} at image {index}; labels must be whole numbers or names, none missing")
        entries.append(single)
    kinds = {isinstance(entry, str) for entry in entries}
    if len(kinds) > 1:
        raise DataError(f"{place} mixes names and numbers; use one of them")
    return np.array(entries)


def round_robin(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order that takes the first image of each class, then the second of each, ...: its beginnings are balanced.

    Args:
        labels: (N,).

    Returns:
        (N,) indices into `labels`.
    """
    return np.lexsort((labels, _positions_in_class(labels))).astype(np.int64)


def held_out(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A mask (N,) of the images for testing: within each class every fifth in file order, position % 5 == 4.

    Args:
        labels: (N,).
    """
    return np.equal(_positions_in_class(labels) % TEST_EVERY, TEST_EVERY - 1)


def _positions_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    positions = np.empty_like(labels)
    for label in np.unique(labels):
        members = labels == label
        positions[members] = np.arange(members.sum())
    return positions
