"""Images by name, or as they are held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bbsmooth.data import ImageSet, Split, images_of, load, refuse_idle_places


def images(
    source: Any,
    labels: Any = None,
    *,
    split: str = Split.TEST,
    classes: Sequence[str] | None = None,
    image_shape: tuple[int, int, int] | None = None,
    resize: bool = False,
    root: Path | str | None = None,
    download: bool = False,
) -> ImageSet:
    """A data set of 8-bit images, as every other call takes it.

    Args:
        source: a name, as `bbsmooth data list` explains them; or images in memory, as `certify` takes them.
        labels: of images in memory, one each.
        split: "train" or "test".
        classes: names of the labels of images in memory.
        image_shape: (C, H, W) that named images shall have, None for their own.
        resize: whether named images are scaled and cropped to it.
        root: where downloaded sets lie, None for the usual place.
        download: whether a missing set may be fetched.

    Raises:
        DataError: the set is not there, or an image cannot be read.
        ShapeError: images in memory that are no 8-bit images.
        UsageError: a root or a download that counts for nothing.
    """
    if isinstance(source, str | Path):
        place = None if root is None else Path(root)
        refuse_idle_places(str(source), root=place, download=download, called="root")
        return load(str(source), split=split, image_shape=image_shape, resize=resize, root=place, download=download)
    return images_of(source, labels, classes=classes, split=Split(split))
