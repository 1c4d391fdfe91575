"""Stores, where answers are kept: diskcache with raw bytes only."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import diskcache
from diskcache.core import MODE_RAW

from oracles.answer_encoding import decode_names, encode_names
from oracles.errors import RecordDamaged, StorageError
from oracles.oracle import Classes

CLASSES = b"classes"
"""Under this key a store keeps the names of an open set, see `encode_names`."""


class Store(Protocol):
    """Bytes by key, see `ResponseStore`."""

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys`, None where there is none."""
        ...

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        """Write rows, all or none."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Make all that is read and written inside happen at once, or not at all."""
        ...

    def load_classes(self, classes: Classes) -> None:
        """Number the names of an open set as before."""
        ...

    def save_classes(self, classes: Classes) -> None:
        """Keep the names of an open set."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class _ForeignRow(Exception):
    """A row that is not raw bytes. No OSError: diskcache would take that for a row that is not there."""


class RawDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Keys and values as bytes inside the database file, and nothing else.

    diskcache's own Disk pickles values, so that whoever can write the file can run code in whoever reads it
    (CVE-2025-69872). This one refuses any row that is not raw bytes.
    """

    def put(self, key: bytes) -> tuple[sqlite3.Binary, bool]:
        """The column value of a key."""
        return sqlite3.Binary(key), True

    def get(self, key: bytes, raw: bool) -> bytes:
        """The key behind a column value."""
        if not raw:
            raise _ForeignRow("it holds a key that is not raw bytes: somebody else wrote it")
        return bytes(key)

    def store(self, value: bytes, read: bool, key: Any = None) -> tuple[int, int, None, sqlite3.Binary]:
        """(size, mode, no file name, column value) of a value."""
        return len(value), MODE_RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: int, filename: str | None, value: bytes, read: bool) -> bytes | BinaryIO:
        """The value behind a row."""
        if mode != MODE_RAW or filename is not None or not isinstance(value, bytes):
            raise _ForeignRow("it holds a value that is not raw bytes: somebody else wrote it")
        return value


class ResponseStore:
    """Bytes by key, durable when a call returns, safe under threads and against crashes at any moment.

    Only its owner can read the folder: answers may be confidential, and somebody else's rows would count as votes.

    Args:
        folder: created where it is missing.

    Raises:
        StorageError: the folder cannot be written, or holds something else.
    """

    def __init__(self, folder: Path) -> None:
        """Open or create."""
        self._lock = threading.RLock()  # for the cache and what follows
        self._inside = False  # a transaction
        with _Explained(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid == os.getuid():
                folder.chmod(0o700)
            self._cache = _opened(folder)
        self._folder = folder

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys`, None where there is none."""
        with _Explained(self._folder), self._lock:
            return [self._cache.get(key) for key in keys]

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        """Write rows, all or none."""
        with self.transaction():
            for key, value in rows.items():
                self._cache.set(key, value)

    def remove(self, keys: Sequence[bytes]) -> None:
        """Remove rows, all or none."""
        with self.transaction():
            for key in keys:
                self._cache.delete(key)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all that is read and written inside happen at once, or not at all."""
        with self._lock:
            if self._inside:
                yield
                return
            self._inside = True
            try:
                with _Explained(self._folder), self._cache.transact():
                    yield
            finally:
                self._inside = False

    def load_classes(self, classes: Classes) -> None:
        """Number the names of an open set as earlier runs on this store did. Call it before the oracle is asked.

        Raises:
            StorageError: `classes` has numbered its names differently already.
        """
        if classes.open_set:
            for number, name in enumerate(self._names()):
                if classes.number(name) != number:
                    raise StorageError(f"{self._folder} and the oracle number the class {name!r} differently")

    def save_classes(self, classes: Classes) -> None:
        """Keep the names of an open set, inside the transaction that writes the first answer with a new name.

        Raises:
            StorageError: the store holds the names of another set.
        """
        if not classes.open_set:
            return
        names, known = classes.names, self._names()
        if any(name != other for name, other in zip(names, known, strict=False)):
            raise StorageError(f"{self._folder} numbers the names of another open set of classes")
        if len(names) > len(known):
            self.write({CLASSES: encode_names(CLASSES, names)})

    def close(self) -> None:
        """Release the file."""
        self._cache.close()

    def _names(self) -> list[str]:
        (raw,) = self.read([CLASSES])
        return [] if raw is None else decode_names(CLASSES, raw)


def _opened(folder: Path) -> diskcache.Cache:
    """The cache in `folder`.

    Raises:
        sqlite3.DatabaseError: among others where its settings, which diskcache takes from the file unseen, are spoilt.
    """
    try:
        return diskcache.Cache(
            str(folder),
            disk=RawDisk,
            eviction_policy="none",
            cull_limit=0,  # nothing that was paid for is ever evicted
            sqlite_synchronous=2,  # a commit survives a power failure
        )
    except (OSError, sqlite3.Error, diskcache.Timeout):
        raise
    except Exception as error:
        raise sqlite3.DatabaseError(f"its settings are spoilt ({error})") from error


def is_damage(error: Exception) -> bool:
    """True for what sqlite says of a file that is no database, a spoilt one, or one without our tables."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return type(error) is sqlite3.DatabaseError or code in (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_NOTADB,
    )


class _Explained:
    """One clear line for whatever the file system or sqlite says in a block."""

    __slots__ = ("_folder",)

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, StorageError):
            return
        if isinstance(error, _ForeignRow):
            raise RecordDamaged(f"cannot trust the response cache {self._folder}: {error}") from None
        if isinstance(error, diskcache.Timeout):
            raise StorageError(f"cannot use the response cache {self._folder}: another program holds it") from error
        if not isinstance(error, (OSError, sqlite3.Error)):
            return
        if is_damage(error):
            raise RecordDamaged(
                f"cannot use the response cache {self._folder}: {error}; restore it from a copy, or begin another run"
            ) from error
        raise StorageError(
            f"cannot use the response cache {self._folder}: {error}; make room or check its permissions"
        ) from error
