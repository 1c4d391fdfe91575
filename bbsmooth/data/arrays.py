"""`npz:PATH`: images in NumPy arrays.

The file holds `x` and perhaps `y`, which then serve every split; or `x_train`, `x_test` and perhaps `y_train`,
`y_test`. Images are uint8, (N, H, W) grey or (N, H, W, C) with one or three channels; labels are (N,) whole numbers. An
array `classes` of strings may name them.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bbsmooth.data.image_set import Split, pick_split
from bbsmooth.data.labels import check_labels, numbered_classes
from bbsmooth.data.source import ArraySource
from bbsmooth.errors import DataError, one_line


def open_arrays(path: Path, split: Split) -> ArraySource:
    """The images of one split, in file order.

    Raises:
        DataError: no such file, not an .npz archive, or arrays other than described above.
    """
    arrays = _read(path)
    splits = {name.removeprefix("x_"): name for name in arrays if name in ("x_train", "x_test")}
    if "x" not in arrays and not splits:
        raise DataError(f"{path} holds the arrays {', '.join(arrays) or '(none)'}; name the images x, the labels y")
    suffix = "" if "x" in arrays else f"_{pick_split(splits, split, str(path))}"
    pixels = _check_pixels(arrays[f"x{suffix}"], f"{path}: x{suffix}")
    if f"y{suffix}" not in arrays:
        return ArraySource.of(f"npz:{path.name}", pixels, None, None)
    classes = _classes(arrays, path)
    labels = check_labels(
        arrays[f"y{suffix}"], images=len(pixels), num_classes=len(classes), place=f"{path}: y{suffix}"
    )
    return ArraySource.of(f"npz:{path.name}", pixels, labels, classes)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is not a readable .npz archive ({one_line(error)}); write it with np.savez") from error


def _check_pixels(pixels: NDArray[Any], place: str) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8:
        raise DataError(f"{place} is of type {pixels.dtype}; images must be uint8, 0 black and 255 white")
    if pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] not in (1, 3)):
        hint = "; move the channels last with x.transpose(0, 2, 3, 1)" if pixels.shape[1:2] in ((1,), (3,)) else ""
        raise DataError(f"{place} has shape {pixels.shape}; (N, H, W) or (N, H, W, 1 or 3) is needed{hint}")
    if pixels.size == 0:
        raise DataError(f"{place} has shape {pixels.shape}: it holds no images")
    return pixels[..., 0] if pixels.shape[3:] == (1,) else pixels


def _classes(arrays: dict[str, NDArray[Any]], path: Path) -> tuple[str, ...]:
    """The names given, or numbers up to the highest label of any split, so that all splits share them."""
    if "classes" in arrays:
        names = arrays["classes"]
        if names.ndim != 1 or names.dtype.kind != "U":
            raise DataError(
                f"{path}: classes has shape {names.shape} and type {names.dtype}; a list of strings is needed"
            )
        return tuple(map(str, names))
    labels = [
        check_labels(arrays[name], images=arrays[name].size, place=f"{path}: {name}")
        for name in ("y", "y_train", "y_test")
        if name in arrays
    ]
    return numbered_classes(max(int(given.max(initial=0)) for given in labels) + 1)
