"""`folder:PATH`: image files, in one folder per class, or flat and unlabelled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bbsmooth.data.digests import digest_files
from bbsmooth.data.image_set import SPLIT_WORDS, Split, pick_split
from bbsmooth.data.labels import round_robin
from bbsmooth.data.source import FileSource
from bbsmooth.errors import DataError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
JUNK = frozenset({"__macosx", "desktop.ini", "ehthumbs.db", "thumbs.db"})
"""Files that operating systems leave in folders, besides hidden ones; in lower case."""


def open_folder(path: Path, split: Split) -> FileSource:
    """The images of one split.

    Where PATH holds folders named as splits (two of train, test, val, valid and validation, or nothing else), these are
    the splits; otherwise PATH as a whole serves every split. Classes are numbered in the order of their names, over all
    splits. Images come round robin over the classes, each class in the order of its file names, so that the first K are
    balanced; a flat folder comes in the order of its file names.

    Raises:
        DataError: no such folder or split, no images, a file that is not an image, images beside or below folders of
            classes, or a class whose name no file could hold.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder; give the path of a folder of images")
    parts = _split_folders(path)
    root = parts[pick_split(parts, split, str(path))] if parts else path
    folders = _listing(root)[0]
    every_part = parts.values() if parts else [root]
    names = sorted({folder.name for part in every_part for folder in _listing(part)[0]})
    if unwritable := [name for name in names if not _is_text(name)]:
        raise DataError(f"{root} has a folder whose name {unwritable[0]!r} is not UTF-8; rename it")
    classes = tuple(names) if folders else None
    files, labels = _labelled(root, names) if folders else (_images(root), [])
    if not files:
        raise DataError(f"{root} holds no images")
    targets = np.array(labels, dtype=np.int64)
    order = round_robin(targets) if folders else range(len(files))
    return FileSource(
        name=f"folder:{path.resolve().name}",
        classes=classes,
        targets=targets[order] if folders else None,
        fingerprint=digest_files(classes, files, root),
        files=tuple(files[index] for index in order),
    )


def open_files(files: Sequence[Path]) -> FileSource:
    """Single image files, unlabelled, in the order given.

    Raises:
        DataError: no file, or one that is not there.
    """
    for file in files:
        if not file.is_file():
            raise DataError(f"{file} is not a file; give the paths of image files")
    if not files:
        raise DataError("no image file was given")
    root = Path(os.path.commonpath([file.resolve().parent for file in files]))
    return FileSource(
        name="files",
        classes=None,
        targets=None,
        fingerprint=digest_files(None, [file.resolve() for file in files], root),
        files=tuple(files),
    )


def _split_folders(path: Path) -> dict[str, Path]:
    folders, files = _listing(path)
    parts = {folder.name: folder for folder in folders if folder.name in SPLIT_WORDS}
    return parts if len(parts) >= 2 or (len(parts) == len(folders) and not files) else {}


def _labelled(root: Path, classes: list[str]) -> tuple[list[Path], list[int]]:
    folders, beside = _listing(root)
    if beside:
        raise DataError(f"{beside[0]} lies beside folders of classes; move it into one of them, or away")
    files: list[Path] = []
    labels: list[int] = []
    for folder in folders:
        images = _images(folder)
        files += images
        labels += [classes.index(folder.name)] * len(images)
    return files, labels


def _images(folder: Path) -> list[Path]:
    folders, files = _listing(folder)
    if folders:
        raise DataError(
            f"{folders[0]} lies inside the folder of a class; one folder per class, with images only, is needed "
            "(name a deeper folder if the classes are there)"
        )
    for file in files:
        if file.suffix.lower() not in IMAGE_SUFFIXES:
            raise DataError(f"{file} is not an image by its name; move it out of the folder of images")
    return files


def _listing(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files in the order of their names, without hidden ones and junk."""
    kept = sorted(
        entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.name.lower() not in JUNK
    )
    return [entry for entry in kept if entry.is_dir()], [entry for entry in kept if not entry.is_dir()]


def _is_text(name: str) -> bool:
    """True if a name, as the operating system gave it, was UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
