"""From the bytes of a file in a run directory to its record, checked; the way back is `files.write_json` or `lines`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from bbsmooth.errors import UsageError
from bbsmooth.runs.lines import whole
from bbsmooth.settings.certify import FORMER_METHODS

T = TypeVar("T")


class Damaged(UsageError):
    """A file of a run does not hold what it should."""


def checked(value: object, kind: type[T]) -> T:
    """`value` as it is, fields that `kind` does not name included.

    Raises:
        ValueError: a field is missing, or is not of the type or in the range that `kind` says.
    """
    msgspec.convert(value, kind)
    return cast(T, value)


def read_record(path: Path, kind: type[T]) -> T:
    """The one record in a file.

    Raises:
        Damaged: the file cannot be read, or holds something else.
    """
    try:
        return checked(_parsed(path.read_bytes()), kind)
    except (OSError, ValueError) as error:
        raise Damaged(f"cannot read {path}: {_reason(error)}; restore it from a copy") from error


def read_lines(path: Path, kind: type[T], what: str) -> list[T]:
    """The records in a file of lines; half a line at the end, left by a crash, is none.

    Args:
        path: the file.
        kind: of each record.
        what: a line is called, with its article.

    Raises:
        Damaged: the file cannot be read, or a line holds something else.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Damaged(f"cannot read {path}: {_reason(error)}; restore it from a copy") from error
    records = []
    for number, line in enumerate(whole(raw).split(b"\n")[:-1], 1):
        try:
            records.append(checked(_parsed(line), kind))
        except ValueError as error:
            raise Damaged(f"{path}, line {number}, is not {what}: {_reason(error)}; restore it from a copy") from error
    return records


def with_methods_of_today(record: dict[str, Any]) -> dict[str, Any]:
    """The record, in which a method of certification that 0.1 called otherwise has the name of today."""
    if record.get("method") in FORMER_METHODS:
        return record | {"method": FORMER_METHODS[record["method"]]}
    return record


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
