"""`npz:PATH?OPTIONS`: images in NumPy arrays.

The file holds `x` and perhaps `y`, which then serve every split; or `x_train`, `x_test` and perhaps `y_train`,
`y_test`; or, as MedMNIST has them, `train_images`, `test_images`, `val_images` and labels of the same names. Images are
uint8, (N, H, W) grey or (N, H, W, C) with fewer channels than pixels a side: colours, or the bands of a satellite.
Labels are one an image, see `read_labels`. An array `classes` of strings may name them, or the option `classes`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from bbsmooth.data.image_set import SPLIT_WORDS, Split, pick_split
from bbsmooth.data.labels import looks_like_labels, read_labels
from bbsmooth.data.source import ArraySource
from bbsmooth.errors import DataError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORDS = "|".join(sorted(SPLIT_WORDS))
_IMAGES = re.compile(f"x|x_(?P<x>{_WORDS})|(?P<med>{_WORDS})_images")

ARCHIVE_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    MemoryError,
    BadZipFile,
    zlib.error,
)
"""What zipfile and numpy raise about a damaged archive, depending on the byte that is wrong."""


def open_arrays(path: Path, split: Split, classes: Sequence[str] | None = None) -> ArraySource:
    """The images of one split, in file order.

    Args:
        path: of the archive.
        split: train or test.
        classes: names of the labels, in the order of their numbers; None for the file's own.

    Raises:
        DataError: no such file, not an .npz archive, or arrays other than described above.
    """
    arrays = _read(path)
    splits = {match["x"] or match["med"] or "": name for name in arrays if (match := _IMAGES.fullmatch(name))}
    if not splits:
        raise DataError(f"{path} holds the arrays {', '.join(arrays) or '(none)'}; name the images x, the labels y")
    images = splits[""] if "" in splits else splits[pick_split(splits, split, str(path))]
    pixels = _check_pixels(arrays[images], f"{path}: {images}")
    labels = _labels_of(images)
    if labels not in arrays:
        if alike := [name for name in arrays if name != "classes" and looks_like_labels(name)]:
            raise DataError(f"{path} holds {alike[0]}, which may be labels; call it {labels}, or leave it out")
        return ArraySource.of(f"npz:{path.name}", pixels, None, None)
    others = [_labels_of(other) for other in splits.values() if other != images and _labels_of(other) in arrays]
    found = read_labels(
        arrays[labels],
        images=len(pixels),
        place=f"{path}: {labels}",
        names=classes or _names(arrays, path),
        elsewhere={f"{path}: {other}": arrays[other] for other in others},
    )
    return ArraySource.of(f"npz:{path.name}", pixels, found.targets, found.classes)


def _labels_of(images: str) -> str:
    """Name of the array of labels, from that of the images."""
    return images.replace("_images", "_labels") if images.endswith("_images") else f"y{images[1:]}"


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: _load(archive, name, path) for name in archive.files}
    except DataError:
        raise
    except ARCHIVE_ERRORS as error:
        raise DataError(f"{path} is not a readable .npz archive ({one_line(error)}); write it with np.savez") from error


def _load(archive: Any, name: str, path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"{path}: {name} is an array of Python objects, which is not read since it may hold code; write it as "
            "numbers or text, as in np.array([...], dtype=np.int64)"
        ) from error
    return array


def _check_pixels(pixels: NDArray[Any], place: str) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8:
        raise DataError(f"{place} is of type {pixels.dtype}; images must be uint8, 0 black and 255 white")
    if pixels.size == 0:
        raise DataError(f"{place} has shape {pixels.shape}: it holds no images")
    if pixels.ndim not in (3, 4) or (pixels.ndim == 4 and not _channels_last(pixels[0])):
        first = pixels.ndim == 4 and _channels_last(pixels[0].transpose(1, 2, 0))
        hint = "; move the channels last with x.transpose(0, 2, 3, 1)" if first else ""
        raise DataError(
            f"{place} has shape {pixels.shape}; (N, H, W) or (N, H, W, C) with few channels is needed{hint}"
        )
    return pixels[..., 0] if pixels.shape[3:] == (1,) else pixels


def _channels_last(image: NDArray[Any]) -> bool:
    """Whether that is how an image is meant: grey or in colours, or with fewer bands than pixels a side.

    (3, 32, 32) is an image whose channels come first, (28, 28, 28) a volume.
    """
    height, width, channels = image.shape
    return channels in (1, 3) or (channels < min(height, width) and height not in (1, 3))


def _names(arrays: dict[str, NDArray[Any]], path: Path) -> tuple[str, ...] | None:
    """The names of the labels that the file gives."""
    if "classes" not in arrays:
        return None
    names = arrays["classes"]
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(f"{path}: classes has shape {names.shape} and type {names.dtype}; a list of strings is needed")
    return tuple(map(str, names))
