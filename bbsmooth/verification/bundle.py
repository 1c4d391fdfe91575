"""A run as one archive, which verifies on another machine, with its images or without."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bbsmooth.data import DataError, ImageSet, Split
from bbsmooth.data.arrays import ARCHIVE_ERRORS
from bbsmooth.errors import UsageError
from bbsmooth.reporting.recall import at_hand, images_of
from bbsmooth.runs.commitment import read_commitment
from bbsmooth.runs.decoding import Damaged
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.files import lock_directory, refuse_no_folder, write_bytes
from bbsmooth.runs.layout import ASIDE, COMMITMENT, DATABASE, MANIFEST
from bbsmooth.runs.reading import Run, read_run
from bbsmooth.verification.recorded import NotAtHand, images_asked_about
from bbsmooth.verification.stored import reading

IMAGES = "images.npz"
"""Images in an archive, beside the run."""

_RUN = "run"
_OF_OTHERS = ("attack", "predict")  # commands that name no data: a run or files instead
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same run gives the same archive
_LEFT_OUT = (ASIDE, "-wal", "-shm")
_MOST_BYTES = 64 * 2**30


def bundle(path: Path, out: Path, *, images: bool) -> Path:
    """Write a run into one archive (ZIP), and return it.

    Args:
        path: the run directory, which nobody is at work in.
        out: the archive.
        images: whether the images go with it. Without them it holds their digests alone, and certificates cannot be
            made again from it.

    Raises:
        UsageError: the run is in use, its images are asked for and not at hand, or no folder is there for the archive.
        OSError: the archive cannot be written.
    """
    import os

    refuse_no_folder(out)
    os.close(lock_directory(path))
    run, raw = read_run(path), io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path)
            if file.is_file() and not file.name.endswith(_LEFT_OUT) and file.absolute() != out.absolute():
                contents = _snapshot(file) if file.name == DATABASE else file.read_bytes()
                archive.writestr(zipfile.ZipInfo(f"{_RUN}/{name.as_posix()}", _EPOCH), contents)
        if images:
            archive.writestr(zipfile.ZipInfo(IMAGES, _EPOCH), _packed(run))
    write_bytes(out, raw.getvalue())
    return out


@contextmanager
def unbundled(path: Path) -> Iterator[Path]:
    """The run directory in an archive while the block runs, its images at hand if it holds them.

    A directory is yielded as it is.

    Raises:
        UsageError: the file is no archive of a run.
    """
    if not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="bbsmooth-") as folder:
        place = Path(folder)
        _extract(path, place)
        if not (place / _RUN / MANIFEST).exists():
            raise UsageError(f"{path} is no archive of a run: it holds no {_RUN}/{MANIFEST}")
        with at_hand(_unpacked(place) if (place / IMAGES).exists() else None):
            yield place / _RUN


def _extract(path: Path, folder: Path) -> None:
    """Unpack an archive, none of whose names may lead elsewhere."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > _MOST_BYTES:
                raise UsageError(f"{path} unpacks to more than {_MOST_BYTES // 2**30} GiB")
            for member in members:
                name = PurePosixPath(member.filename)
                if name.is_absolute() or ".." in name.parts:
                    raise UsageError(f"{path} holds a file with the name {member.filename!r}")
                archive.extract(member, folder)
    except UsageError:
        raise
    except ARCHIVE_ERRORS as error:
        raise UsageError(f"{path} is no archive of a run: {error}") from error


def _snapshot(database: Path) -> bytes:
    """A database of answers as one file, with what its log beside it holds."""
    with tempfile.TemporaryDirectory(prefix="bbsmooth-") as folder:
        copy = Path(folder) / database.name
        with closing(reading(database)) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        return copy.read_bytes()


def _packed(run: Run) -> bytes:
    """Images and labels of a run."""
    try:
        held = images_asked_about(run) if run.command in _OF_OTHERS else images_of(run)
    except (NotAtHand, DataError, UsageError, OSError) as error:
        raise UsageError(f"the images are not at hand ({error}); leave them out, or bring them back") from error
    count = _count(run.path) or len(held)
    arrays: dict[str, Any] = {"x": np.stack([held.image(index).numpy() for index in range(count)])}
    labels = [held.label(index) for index in range(count)]
    if held.classes is not None:
        arrays |= {"y": np.array(labels, dtype=np.int64), "classes": np.array(held.classes)}
    raw = io.BytesIO()
    np.savez_compressed(raw, **arrays)
    return raw.getvalue()


def _count(path: Path) -> int | None:
    """Number of images that a run is about, where it has committed itself to them."""
    if not (path / COMMITMENT).exists():
        return None
    fixed = [image.get("index", place) for place, image in enumerate(read_commitment(path)["images"])]
    certified = [record["index"] for record in read_run(path).certificates or []]  # more, where `limit` was raised
    return max([*fixed, *certified], default=-1) + 1


def _unpacked(folder: Path) -> ImageSet:
    """The images in an archive, under the fingerprint of the run's data; their digests are in its commitment."""
    import torch

    from bbsmooth.data.in_memory import GivenImages

    described = read_manifest(folder / _RUN)["data"]
    try:
        with np.load(folder / IMAGES, allow_pickle=False) as held:
            pixels, labels, classes = torch.from_numpy(held["x"]), None, None
            if "y" in held:
                labels, classes = held["y"], tuple(map(str, held["classes"]))
    except ARCHIVE_ERRORS as error:
        raise Damaged(f"{IMAGES} in the archive cannot be read: {error}") from error
    return GivenImages(
        name=described["name"],
        split=Split(described["split"]),
        classes=classes,
        fingerprint=described["fingerprint"],
        pixels=pixels,
        targets=labels,
    )
