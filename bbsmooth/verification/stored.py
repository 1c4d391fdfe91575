"""The answers that a run has on record, for reading alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from bbsmooth.runs.layout import DATABASE
from oracles import Classes, RecordDamaged, StorageError
from oracles.answer_encoding import decode_labels, decode_names, unseal
from oracles.recording import BLOCK, REFUSED
from oracles.store import CLASSES, is_damage

_VOTES = "SELECT key, value FROM Cache WHERE raw = 1 AND length(key) = 32 AND length(value) IN (?, ?)"
_ROW = "SELECT value FROM Cache WHERE key = ? AND raw = 1 AND filename IS NULL"


@dataclass(frozen=True, slots=True)
class StoredVotes:
    """Contents of a row of votes.

    Attributes:
        answered: draws with an answer.
        refused: draws that the oracle refused to answer.
    """

    answered: int
    refused: int

    @classmethod
    def of(cls, labels: NDArray[np.int32]) -> StoredVotes:
        """Count the labels of a row."""
        return cls(answered=int((labels >= 0).sum()), refused=int((labels == REFUSED).sum()))


def reading(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing; where no writer left a log beside the file, as one that nobody changes."""
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{mode}", uri=True)


class StoredAnswers:
    """The rows of a `ResponseStore`, none of which can be changed through this; a read-only medium will do.

    Args:
        folder: of the store.

    Raises:
        StorageError: there is none, or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        """Open the database; where no writer left a log beside it, as a file that nobody changes."""
        self._path = path = folder / DATABASE
        try:
            self._database = reading(path)
            self._database.execute(_ROW, (b"",))
        except sqlite3.Error as error:
            raise _unreadable(error, path) from error

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys`, None where there is none."""
        try:
            rows = [self._database.execute(_ROW, (key,)).fetchone() for key in keys]
        except sqlite3.Error as error:
            raise _unreadable(error, self._path) from error
        return [None if row is None else row[0] for row in rows]

    def vote_rows(self) -> dict[bytes, StoredVotes]:
        """Number of votes that each row of votes holds, by its key."""
        try:
            found = self._database.execute(_VOTES, (4 * BLOCK, 4 * BLOCK + 4))
            return {
                bytes(key): StoredVotes.of(decode_labels(unseal(bytes(key), value, 4 * BLOCK))) for key, value in found
            }
        except sqlite3.Error as error:
            raise _unreadable(error, self._path) from error

    def load_classes(self, classes: Classes) -> None:
        """Number the names of an open set as the run did."""
        (raw,) = self.read([CLASSES])
        for name in decode_names(CLASSES, raw) if raw is not None and classes.open_set else []:
            classes.number(name)

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        """Refuse."""
        self._refuse()

    def transaction(self) -> AbstractContextManager[None]:
        """Refuse."""
        self._refuse()

    def save_classes(self, classes: Classes) -> None:
        """Refuse."""
        self._refuse()

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    @staticmethod
    def _refuse() -> NoReturn:
        raise RuntimeError("these answers are only read")


def _unreadable(error: sqlite3.Error, path: Path) -> StorageError:
    """Error about a database that holds something else than was written, or cannot be read."""
    if is_damage(error):
        return RecordDamaged(f"{path} cannot be read: {error}; restore it from a copy")
    return StorageError(f"{path} cannot be read: {error}; check that it is there and its permissions")
