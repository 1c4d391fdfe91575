"""Answers on probation: recorded at once, and taken back if the model turns out to have changed.

A model can change without a word. What was recorded since it was last seen to be the old one is then worth nothing,
and nobody can tell from the answers. So each write notes what stood there before, as in a database's undo log: a
passed check commits what was written until it began, a failed one takes the rest back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from oracles.errors import OracleChanged, StorageError
from oracles.oracle import Classes
from oracles.store import ResponseStore

_JOURNAL = b"journal"
_NOTHING, _SOMETHING = b"\x00", b"\x01"


@dataclass(slots=True)
class UndoLogStore:
    """A store whose uncommitted writes can be taken back, also by a later process.

    Every written row has a number; those from `committed` to `written - 1` are uncommitted.

    Args:
        store: keeps the rows and the journal.
    """

    store: ResponseStore
    _closed: str | None = field(default=None, init=False)

    @property
    def committed(self) -> int:
        """Rows before this number stay."""
        return self._bounds()[0]

    @property
    def written(self) -> int:
        """The number that the next row will get."""
        return self._bounds()[1]

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As inside."""
        return self.store.read(keys)

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        """Write rows and what stood there before, all or none.

        Raises:
            OracleChanged: `roll_back` was called.
        """
        with self.store.transaction():
            if self._closed is not None:  # an answer that was under way meanwhile
                raise OracleChanged(self._closed)
            committed, written = self._bounds()
            for number, (key, old) in enumerate(zip(rows, self.store.read(list(rows)), strict=True), written):
                self.store.write({_entry(number): _encode(key, old)})
            self.store.write(rows)
            self._set_bounds(committed, written + len(rows))

    def transaction(self) -> AbstractContextManager[None]:
        """As inside."""
        return self.store.transaction()

    def load_classes(self, classes: Classes) -> None:
        """As inside."""
        self.store.load_classes(classes)

    def save_classes(self, classes: Classes) -> None:
        """As inside; never taken back, since a number that a name once had may stand in rows that stay."""
        self.store.save_classes(classes)

    def close(self) -> None:
        """As inside."""
        self.store.close()

    def commit(self, until: int) -> None:
        """Keep for good the rows before number `until`."""
        with self.store.transaction():
            committed, written = self._bounds()
            self.store.remove([_entry(number) for number in range(committed, until)])
            self._set_bounds(max(committed, until), written)

    def roll_back(self, why: str) -> None:
        """Put back what stood before the uncommitted rows were written, and write nothing more.

        Args:
            why: what is said to whoever tries to.
        """
        with self.store.transaction():
            committed, written = self._bounds()
            for number in reversed(range(committed, written)):
                key, old = _decode(self.store.read([_entry(number)])[0])
                if old is None:
                    self.store.remove([key])
                else:
                    self.store.write({key: old})
            self.store.remove([_entry(number) for number in range(committed, written)])
            self._set_bounds(committed, committed)
            self._closed = why

    def _bounds(self) -> tuple[int, int]:
        (raw,) = self.store.read([_JOURNAL])
        return (0, 0) if raw is None else (int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big"))

    def _set_bounds(self, committed: int, written: int) -> None:
        self.store.write({_JOURNAL: committed.to_bytes(8, "big") + written.to_bytes(8, "big")})


def _entry(number: int) -> bytes:
    return _JOURNAL + number.to_bytes(8, "big")


def _encode(key: bytes, old: bytes | None) -> bytes:
    return bytes([len(key)]) + key + (_NOTHING if old is None else _SOMETHING + old)


def _decode(raw: bytes | None) -> tuple[bytes, bytes | None]:
    if not raw:
        raise StorageError("the journal of the response cache lacks a row; somebody else removed it")
    size = 1 + raw[0]
    key, mark, old = raw[1:size], raw[size : size + 1], raw[size + 1 :]
    return key, None if mark == _NOTHING else old
