"""Files of JSON lines: each line is on disk when `append` returns, and half a line that a crash left is none."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bbsmooth.runs.files import explained, write_bytes


def whole(raw: bytes) -> bytes:
    """The whole lines of a file that is appended to."""
    return raw[: raw.rfind(b"\n") + 1]


def encoded(records: Sequence[Mapping[str, Any]]) -> bytes:
    """One line of JSON for each record."""
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def write_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Replace a file of lines: a reader sees the old content or the new.

    Raises:
        OSError: it cannot be written.
    """
    write_bytes(path, encoded(records))


class LineFile:
    """A file of lines that this process alone appends to.

    Args:
        path: made where it is missing; half a line at its end is removed.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        """Open it after its last whole line."""
        self.path = path
        with explained(path):
            self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
            end = len(whole(self._file.read()))
            self._file.truncate(end)
            self._file.seek(end)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one line and sync it.

        Raises:
            OSError: it cannot be written.
        """
        line = encoded([record])
        with explained(self.path):
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def __enter__(self) -> LineFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RecordFile(LineFile):
    """A file of lines of which this process knows all: each is on disk before the next image is reported.

    Args:
        path: as of a `LineFile`.
        records: what its whole lines say.

    Attributes:
        records: all of them, those that were appended too.
    """

    def __init__(self, path: Path, records: list[dict[str, Any]]) -> None:
        """Open it after its last whole line."""
        super().__init__(path)
        self.records = records

    def append(self, record: Mapping[str, Any]) -> None:
        """As `LineFile.append`."""
        super().append(record)
        self.records.append(dict(record))


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one line to a file, after its last whole one.

    Raises:
        OSError: it cannot be written.
    """
    with LineFile(path) as file:
        file.append(record)
