"""`hf:PATH-OR-NAME`: Hugging Face image data sets, from parquet files on disk or by their name on the hub."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bbsmooth.data.digests import digest_files
from bbsmooth.data.image_set import SPLIT_WORDS, Split, pick_split
from bbsmooth.data.labels import check_labels, numbered_classes
from bbsmooth.data.pictures import open_picture
from bbsmooth.data.source import Source
from bbsmooth.errors import DataError, one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSource:
    """Pictures in a column of a `datasets.Dataset`, decoded when asked for.

    Attributes:
        rows: the data set; its image column gives {"bytes", "path"}.
        column: name of that column.
    """

    name: str
    classes: tuple[str, ...] | None
    targets: NDArray[np.int64] | None
    fingerprint: str
    rows: Any
    column: str

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.rows)

    def place(self, index: int) -> str:
        """What to call a picture in an error."""
        return f"row {index} of {self.name}"

    def picture(self, index: int) -> Image.Image:
        """Read one picture.

        Raises:
            DataError: the row holds none, or it cannot be read.
        """
        stored = self.rows[index][self.column]
        if stored is None:
            raise DataError(f"{self.place(index)} holds no image; remove the row")
        file = Path(stored["path"]) if stored["bytes"] is None else BytesIO(stored["bytes"])
        return open_picture(file, self.place(index))


def open_huggingface(where: str, split: Split, cache: Path | None, *, download: bool) -> Source:
    """The images of one split, in the order of the data set.

    A parquet file serves every split, and so does a folder whose files name no split. Otherwise "train", "test", "val",
    "valid" or "validation" in a file's or folder's name tells the split. A name on the hub is looked up in the cache
    alone, unless `download` is set.

    Args:
        where: parquet file, folder of parquet files, or name on the hub.
        split: train or test.
        cache: where `datasets` keeps its copies, None for its own default.
        download: whether the hub may be asked.

    Raises:
        DataError: `datasets` is not installed; no such data or split; not one column of images; labels that are none.
    """
    datasets = _library()
    path = Path(where).expanduser()
    if path.exists():
        name = f"hf:{path.resolve().name}"
        files = _parquet_files(path, split)
        rows = _parquet_rows(files, path, cache)
        root = path if path.is_dir() else path.parent
    elif where.endswith(".parquet") or where.startswith((".", "/", "~")):
        raise DataError(f"{where} does not exist; give a parquet file, a folder of them, or a name on the hub")
    else:
        name = f"hf:{where}"
        rows = _hub_rows(where, split, cache, download=download)
        files = [Path(entry["filename"]) for entry in rows.cache_files]
        root = files[0].parent
    if len(rows) == 0:
        raise DataError(f"{name} holds no images")
    column = _image_column(rows, name)
    classes, targets = _labels(rows, name)
    return TableSource(
        name=name,
        classes=classes,
        targets=targets,
        fingerprint=digest_files(classes, files, root),
        rows=rows.cast_column(column, datasets.Image(decode=False)),
        column=column,
    )


def _library() -> Any:
    try:
        import datasets  # here, because it is an optional extra
    except ImportError as error:
        raise DataError("hf: needs the library datasets: `pip install 'bbsmooth[hf]'`") from error
    datasets.disable_progress_bars()  # they would be drawn without a terminal too
    return datasets


def _parquet_files(path: Path, split: Split) -> list[Path]:
    """The files of one split, in the order of their paths."""
    if path.is_file():
        return [path]
    files: dict[str | None, list[Path]] = defaultdict(list)
    for file in sorted(path.rglob("*.parquet")):
        inside = file.relative_to(path)
        if not any(part.startswith(".") for part in inside.parts):
            files[_split_named_in(inside)].append(file)
    if not files:
        raise DataError(f"{path} holds no parquet files; use folder:{path} for a folder of image files")
    if files.keys() == {None}:
        return files[None]
    if None in files:
        raise DataError(f"{files[None][0]} names no split, but other files do; rename it, or move it away")
    return files[pick_split([name for name in files if name is not None], split, str(path))]


def _split_named_in(file: Path) -> str | None:
    for part in reversed(file.parts):
        for word in re.split("[^a-z]+", part.lower()):
            if word in SPLIT_WORDS:
                return word
    return None


def _parquet_rows(files: list[Path], path: Path, cache: Path | None) -> Any:
    datasets = _library()
    try:
        return datasets.load_dataset(
            "parquet", data_files=[str(file.resolve()) for file in files], split="train", cache_dir=cache
        )
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as parquet files ({one_line(error)}); write them anew") from error


def _hub_rows(where: str, split: Split, cache: Path | None, *, download: bool) -> Any:
    datasets = _library()
    try:
        with _offline(not download):
            parts = datasets.load_dataset(where, cache_dir=cache)
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
        advice = (
            "check the name and the network"
            if download
            else "add `download=True` to fetch it from the Hugging Face hub"
        )
        raise DataError(f"hf:{where} is neither a path nor cached ({one_line(error)}); {advice}") from error
    return parts[pick_split(parts, split, f"hf:{where}")]


@contextmanager
def _offline(offline: bool) -> Iterator[None]:
    """Keep the Hugging Face libraries off the network; they read the switch in the environment only once, at import."""
    import huggingface_hub.constants

    switches = (_library().config, huggingface_hub.constants)
    before = [switch.HF_HUB_OFFLINE for switch in switches]
    try:
        for switch, was in zip(switches, before, strict=True):
            switch.HF_HUB_OFFLINE = offline or was
        yield
    finally:
        for switch, was in zip(switches, before, strict=True):
            switch.HF_HUB_OFFLINE = was


def _image_column(rows: Any, name: str) -> str:
    images = [column for column, feature in rows.features.items() if isinstance(feature, _library().Image)]
    if len(images) != 1:
        raise DataError(
            f"{name} has {len(images)} columns of images among {', '.join(rows.features)}; exactly one is needed"
        )
    return str(images[0])


def _labels(rows: Any, name: str) -> tuple[tuple[str, ...] | None, NDArray[np.int64] | None]:
    """Classes and labels: the column "label" or "labels", else the only column of class labels."""
    datasets = _library()
    named = {column: feature for column, feature in rows.features.items() if isinstance(feature, datasets.ClassLabel)}
    numbered = [
        column
        for column in ("label", "labels")
        if getattr(rows.features.get(column), "dtype", "").startswith(("int", "uint"))
    ]
    columns = numbered[:1] or list(named)
    if not columns:
        return None, None
    if len(columns) > 1:
        raise DataError(f"{name} has several columns of labels, {', '.join(columns)}; rename the wanted one to label")
    column = columns[0]
    stored = rows.data.column(column).to_numpy()
    place = f"{name}: {column}"
    if column in named:
        classes = tuple(named[column].names)
        return classes, check_labels(stored, images=len(rows), num_classes=len(classes), place=place)
    labels = check_labels(stored, images=len(rows), place=place)
    return numbered_classes(int(labels.max()) + 1), labels
