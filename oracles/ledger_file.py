"""The file that keeps a ledger, and a journal beside it that makes it cheap to keep each change."""

from __future__ import annotations

import errno
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oracles.errors import RecordDamaged, StorageError

CHANGES = "changes"
"""Entry of a state that says how many there were before it: of several states, the one with the most counts."""

CHECKSUM = "checksum"
"""Entry of a written state: CRC-32 of all others, so that one flipped bit is found. 0.1 wrote none."""

_SLOT = 16_384
_SLOTS = 2
_SUM, _LENGTH = 8, 6


class LedgerFile:
    """States, each replacing the one before; what was put is there after a crash at any moment.

    A state is first synced into the journal, over the last but one: a single wait for the disk, and a power failure in
    the middle of it spoils one slot of two. Then the file is written over without waiting, so that whoever reads it
    sees the newest state, also after the death of this process. Of file and journal, the newest state that is whole
    counts. (To sync and rename a new file for each state takes two waits, and three times as long on ext4.)

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        """Touch nothing yet."""
        self.path = path
        self._journal_path = path.with_suffix(".journal")
        self._opened: tuple[int, int] | None = None  # file and journal
        self._slot = self._length = 0

    def __del__(self) -> None:
        """Release the files."""
        self._close()

    def read(self) -> dict[str, Any] | None:
        """The newest state, None where there never was one.

        Raises:
            StorageError: what is there cannot be read.
        """
        try:
            states = self._journalled()
            if self.path.exists():
                try:
                    states.append(_state(self.path.read_bytes()))
                except ValueError:
                    if not states:
                        raise
        except (OSError, ValueError) as error:
            raise unreadable(self.path, error) from error
        return max(states, key=lambda state: state.get(CHANGES, 0), default=None)

    def put(self, state: dict[str, Any]) -> None:
        """Replace the state, durably when this returns.

        Raises:
            StorageError: the disk refuses.
        """
        raw = _text(state)
        try:
            if self._opened is None:
                self._replace(raw)  # also what an earlier process left in the journal is safe now
                self._opened = self._open()
                return
            file, journal = self._opened
            _pwrite(journal, _framed(raw), self._slot * _SLOT)
            _sync_data(journal)
            self._slot = (self._slot + 1) % _SLOTS
            self._length = max(self._length, len(raw))
            _pwrite(file, raw.ljust(self._length), 0)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state, and do without the journal until the next change.

        Raises:
            StorageError: the disk refuses.
        """
        try:
            self._replace(_text(state))
            self._close()
            self._journal_path.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _replace(self, raw: bytes) -> None:
        """Replace the file by a new one: a crash leaves the old or the new, and only the new after the return."""
        aside = self.path.with_suffix(".tmp")
        with _file(aside, os.O_WRONLY | os.O_TRUNC) as number:
            _pwrite(number, raw, 0)
            os.fsync(number)
        os.replace(aside, self.path)
        _sync_folder(self.path.parent)
        self._length = len(raw)

    def _open(self) -> tuple[int, int]:
        """The file, and an empty journal of its full size, so that later only data has to be synced."""
        with _file(self._journal_path, os.O_WRONLY | os.O_TRUNC) as number:
            _pwrite(number, bytes(_SLOTS * _SLOT), 0)
            os.fsync(number)
        _sync_folder(self.path.parent)
        file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            return file, os.open(self._journal_path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            os.close(file)
            raise

    def _close(self, close: Callable[[int], None] = os.close) -> None:
        for number in self._opened or ():
            close(number)  # a default, since a ledger may outlive what modules hold
        self._opened = None

    def _journalled(self) -> list[dict[str, Any]]:
        """The states in the slots that are whole."""
        if not self._journal_path.exists():
            return []
        raw = self._journal_path.read_bytes()
        found = [_unframed(raw[start : start + _SLOT]) for start in range(0, len(raw), _SLOT)]
        return [_state(text) for text in found if text is not None]


def unreadable(path: Path, error: Exception) -> StorageError:
    """Error about a file that holds no ledger."""
    kind = StorageError if isinstance(error, OSError) else RecordDamaged
    return kind(f"{path} is not a readable ledger ({error}); nothing may be spent on its account")


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot write the ledger {path}: {error.strerror}; nothing was sent")


def _state(raw: bytes) -> dict[str, Any]:
    state = json.loads(raw)
    if not isinstance(state, dict):
        raise ValueError("it holds no object")
    said = state.pop(CHECKSUM, None)
    if said is not None and said != checksum(state):
        raise ValueError(f"its checksum is {said}, its entries give {checksum(state)}: it was changed")
    return state


def checksum(state: Mapping[str, Any]) -> str:
    """The checksum of a state, over its JSON without `CHECKSUM`."""
    return _checksum(json.dumps({key: value for key, value in state.items() if key != CHECKSUM}))


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _text(state: dict[str, Any]) -> bytes:
    """JSON, an entry a line; `indent` would take ten times as long."""
    text = json.dumps(state)
    return f'{text[:-1]}, "{CHECKSUM}": "{_checksum(text)}"}}'.replace(', "', ',\n "').encode() + b"\n"


def _framed(text: bytes) -> bytes:
    framed = b"%08x%06d" % (zlib.crc32(text), len(text)) + text
    if len(framed) > _SLOT:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return framed


def _unframed(raw: bytes) -> bytes | None:
    """The text in a slot, None where it is empty or torn."""
    found, rest = raw[:_SUM], raw[_SUM:]
    length = rest[:_LENGTH]
    if not length.isdigit():
        return None
    text = rest[_LENGTH : _LENGTH + int(length)]
    return text if found == b"%08x" % zlib.crc32(text) else None


@contextmanager
def _file(path: Path, flags: int) -> Iterator[int]:
    number = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield number
    finally:
        os.close(number)


def _pwrite(number: int, raw: bytes, offset: int) -> None:
    if os.pwrite(number, raw, offset) != len(raw):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_data(number: int) -> None:
    """Bring a file's content to the disk; its size and name are there."""
    if sys.platform == "darwin":
        os.fsync(number)
    else:
        os.fdatasync(number)


def _sync_folder(folder: Path) -> None:
    """Bring a new name in a folder to the disk: a file's own sync does not."""
    number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
