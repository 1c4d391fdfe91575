"""Files that a crash leaves whole, and directories that one process writes to."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bbsmooth.errors import UsageError
from bbsmooth.runs.layout import ASIDE


def in_use(path: Path) -> bool:
    """True if a process is at work in a run directory."""
    try:
        os.close(lock_directory(path))
    except UsageError as error:
        return isinstance(error, InUse)
    return False


def write_bytes(path: Path, raw: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, and a crash keeps one of them."""
    beside = aside(path)
    with explained(path):
        try:
            with beside.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise


def refuse_no_folder(file: Path) -> None:
    """Refuse a file that cannot be written because its folder is not there, before anything is made for it.

    Raises:
        UsageError: there is no folder for it.
    """
    if not file.parent.is_dir():
        raise UsageError(f"cannot write {file}: there is no folder {file.parent}; make it, or name another file")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, as `write_bytes` does."""
    write_bytes(path, json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say of whatever the file system refuses which file it is about, and what to do.

    Raises:
        OSError: the same, with one clear line.
    """
    try:
        yield
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}; make room or check its permissions") from error


class InUse(UsageError):
    """Another process is at work in the directory."""


def lock_directory(path: Path) -> int:
    """A descriptor that holds the directory for this process until it is closed.

    Raises:
        InUse: another process holds it.
        UsageError: it cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "it is read-only")
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot write to the run directory {path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise InUse(f"{path} is in use by another process; wait for it, or name another `run`") from None
    return lock


def aside(path: Path) -> Path:
    """The name under which a file is written before it takes its place."""
    return path.with_name(path.name + ASIDE)


def read_key_file(path: Path | None) -> bytes | None:
    """The contents of a file of keys or certificates; None where none is named.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
