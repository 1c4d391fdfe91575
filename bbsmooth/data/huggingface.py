"""`hf:PATH-OR-NAME`: Hugging Face image data sets, from parquet files on disk or by their name on the hub."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bbsmooth.data.digests import digest_files
from bbsmooth.data.image_set import SPLIT_WORDS, Split, pick_split
from bbsmooth.data.source import Source
from bbsmooth.data.tables import ANY_COLUMNS, Columns, read_columns
from bbsmooth.errors import DataError, one_line


def open_huggingface(
    where: str, split: Split, cache: Path | None, *, download: bool, columns: Columns = ANY_COLUMNS
) -> Source:
    """The images of one split, in the order of the data set.

    A parquet file serves every split, and so does a folder whose files name no split. Otherwise "train", "test", "val",
    "valid" or "validation" in a file's or folder's name tells the split. A name on the hub is looked up in the cache
    alone, unless `download` is set.

    Args:
        where: parquet file, folder of parquet files, or name on the hub.
        split: train or test.
        cache: where `datasets` keeps its copies, None for its own default.
        download: whether the hub may be asked.
        columns: those that the user names.

    Raises:
        DataError: `datasets` is not installed; no such data or split; not one column of images; labels that are none.
    """
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
    return read_columns(rows, name, columns, lambda classes: digest_files(classes, files, root))


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
