"""A response cache at the URL, as a base and the rows that have changed since, in files of a few seconds each.

A database cannot be written in part to an object store, and whole it may have gigabytes. So each pass writes the rows
that are new, changed or gone into a small database of its own, numbered in order; applied in that order to the base,
they give the cache as it was. Once there are many, one file with all rows takes their place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from bbsmooth.runs.layout import DATABASE
from oracles import ResponseStore, StorageError

_PREFIX, _PART, _WHOLE = "rows-", ".part", ".whole"
_PARTS = 200
"""Files in a row before a whole one replaces them."""


def is_rows(name: str) -> bool:
    """True if a file at the URL holds rows and is no part of the run directory."""
    return name.rpartition("/")[2].startswith(_PREFIX)


def in_order(names: set[str], folder: str) -> list[str]:
    """The files of rows for the cache in `folder`, from the last whole one on, in the order they are applied in."""
    found = sorted(name for name in names if is_rows(name) and name.rpartition("/")[0] == folder)
    whole = [number for number, name in enumerate(found) if name.endswith(_WHOLE)]
    return found[whole[-1] :] if whole else found


def apply(files: list[Path], store: Path) -> None:
    """Bring a cache to the state that files of rows describe, in order; it is made where it is missing.

    Raises:
        StorageError: a file holds no rows, or the cache cannot be written.
    """
    cache = ResponseStore(store)
    try:
        for file in files:
            try:
                with closing(sqlite3.connect(file)) as rows:
                    found = rows.execute("SELECT key, value FROM rows").fetchall()
            except sqlite3.Error as error:
                raise StorageError(f"{file.name} holds no answers of the run: {error}") from error
            with cache.transaction():
                cache.write({key: value for key, value in found if value is not None})
                cache.remove([key for key, value in found if value is None])
    finally:
        cache.close()


def snapshot(store: Path, target: Path) -> None:
    """Copy the database of a cache as it is at one moment, whoever writes to it."""
    with _reading(store) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


@dataclass(slots=True)
class ChangedRows:
    """Changes of a cache since it was last looked at.

    Attributes:
        store: its folder.
        fence: number of the process that writes, so that no two write the same file.
        number: of the next file.
        known: by key, when the row that is at the URL was written; None where nothing is known of the URL.
    """

    store: Path
    fence: int
    known: dict[bytes, float] | None
    number: int = 1
    _parts: int = field(init=False, default=0)

    @classmethod
    def of(cls, store: Path, fence: int, *, mirrored: bool) -> ChangedRows:
        """For a cache that was made from what is at the URL just now, if `mirrored`."""
        known = None
        if mirrored and (store / DATABASE).exists():
            with _reading(store) as source:
                known = _times(source)
        return cls(store, fence, known)

    def collect(self, folder: Path) -> tuple[str, Path, dict[bytes, float]] | None:
        """Write what has changed into a file in `folder`: its name at the URL, the file, and what `keep` is told.

        None where nothing has changed.
        """
        if not (self.store / DATABASE).exists():
            return None
        whole = self.known is None or self._parts >= _PARTS
        known = {} if whole or self.known is None else self.known
        with _reading(self.store) as source:
            source.execute("BEGIN")
            times = _times(source)
            changed = [key for key, time in times.items() if known.get(key) != time]
            gone = known.keys() - times.keys()
            if not changed and not gone and not whole:
                return None
            name = f"{_PREFIX}{self.fence:08d}-{self.number:08d}{_WHOLE if whole else _PART}"
            file = folder / name
            file.unlink(missing_ok=True)
            with closing(sqlite3.connect(file)) as rows, rows:
                rows.execute("CREATE TABLE rows (key BLOB PRIMARY KEY, value BLOB)")
                rows.executemany("INSERT INTO rows VALUES (?, ?)", _values(source, changed))
                rows.executemany("INSERT INTO rows VALUES (?, NULL)", ((key,) for key in gone))
        return f"{self.store.name}/{name}", file, times

    def keep(self, name: str, times: dict[bytes, float]) -> None:
        """Note that a file is at the URL."""
        self.known = times
        self.number += 1
        self._parts = 0 if name.endswith(_WHOLE) else self._parts + 1


def _values(source: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for key in keys:
        (value,) = source.execute("SELECT value FROM Cache WHERE key = ?", (key,)).fetchone()
        yield key, value


def _times(source: sqlite3.Connection) -> dict[bytes, float]:
    """By key, when a row was written; nothing while somebody is still making the table."""
    if source.execute("SELECT 1 FROM sqlite_master WHERE name = 'Cache'").fetchone() is None:
        return {}
    return dict(source.execute("SELECT key, store_time FROM Cache").fetchall())


@contextmanager
def _reading(store: Path) -> Iterator[sqlite3.Connection]:
    """A connection of its own: to open the file otherwise would break the locks that this process holds on it.

    Raises:
        OSError: the database cannot be read, or what is made of it not be written.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(store / DATABASE))}?mode=ro", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise OSError(f"cannot mirror the response cache {store}: {error}") from error
