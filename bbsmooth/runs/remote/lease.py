"""Which process works on the run behind a URL, and what it may have spent by now.

Object stores have no locks, and a process that seemed lost may wake up in the middle of a write. So nobody writes over
anybody else's note: each process that takes a run puts down a note with the next number and renews only that one. Who
finds a note with a higher number has lost the run. As the note also says what may be spent, and is written before it is
spent, the next process knows of all of it: it puts down its own note first and reads the old one then, while the old
process writes first and looks for a new note then; so one of them finds the other's.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from bbsmooth.errors import UsageError
from bbsmooth.runs.remote.place import Place
from oracles import StorageError

FOLDER = "drivers"
"""Folder of the notes at the URL, which is no part of the run directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a process says of itself.

    Attributes:
        token: tells it from every other.
        host: where it is.
        process: its number there.
        until: when its hold ends if it says nothing more, as an ISO date.
        released: whether it has let go, and the run directory at the URL is whole.
        ledger: what may be spent by now, None where nothing is.
    """

    token: str
    host: str
    process: int
    until: str
    released: bool = False
    ledger: Mapping[str, Any] | None = None

    @property
    def holds(self) -> bool:
        """Whether its process is at work, as far as anybody can tell."""
        return not self.released and datetime.now(UTC) < datetime.fromisoformat(self.until)


@dataclass(slots=True)
class Holding:
    """One process's hold on a run.

    Attributes:
        place: the run.
        number: of the note.
        seconds: that the note holds for, without being renewed.
        note: as it was written last.
    """

    place: Place
    number: int
    seconds: float
    note: Note

    @classmethod
    def take(cls, place: Place, *, own: frozenset[str], token: str, seconds: float) -> Holding:
        """Take hold of a run. What its last process may have spent stands in the new note too.

        Args:
            place: the run.
            own: tokens of earlier processes that are known to be gone.
            token: of this process.
            seconds: see `Holding`; clocks of different machines may differ by a small part of them.

        Raises:
            UsageError: another process has it.
            OSError: the store cannot be reached.
        """
        last = latest(place)
        if last is not None and last[1].token not in own and last[1].holds:
            raise UsageError(_refusal(place, last[1]))
        number = 1 + (0 if last is None else last[0])
        note = Note(token=token, host=socket.gethostname(), process=os.getpid(), until="")
        holding = cls(place, number, seconds, note)
        holding.renew(None)
        rivals = [name for name in _names(place) if _number(name) >= number and name != holding._name]
        if rivals:
            holding.withdraw()
            raise UsageError(f"another process has just taken {place.url}; wait for it, or name another `run`")
        holding.renew(_inherited(place, below=number))
        for name in _names(place):
            if _number(name) < number:
                place.remove(f"{FOLDER}/{name}")
        return holding

    def renew(self, ledger: Mapping[str, Any] | None) -> None:
        """Hold on for another while, and say what may be spent by then.

        Raises:
            OSError: the store cannot be reached.
        """
        until = datetime.now(UTC) + timedelta(seconds=self.seconds)
        self._write(replace(self.note, until=until.isoformat(timespec="milliseconds"), ledger=ledger))

    def check(self) -> None:
        """Refuse to go on where another process has taken over.

        Raises:
            StorageError: one has.
            OSError: the store cannot be reached.
        """
        if any(_number(name) > self.number for name in _names(self.place)):
            raise StorageError(f"another process has taken over {self.place.url}; this one stops")

    def release(self) -> None:
        """Let go of a run that is whole at the URL. The note stays, so that older processes know.

        Raises:
            OSError: the store cannot be reached.
        """
        self._write(replace(self.note, released=True, ledger=None))

    def give_up(self) -> None:
        """Let others take what this process could not go on with; what may be spent still stands in the note.

        Raises:
            OSError: the store cannot be reached.
        """
        self._write(replace(self.note, until=datetime.now(UTC).isoformat(timespec="milliseconds")))

    def withdraw(self) -> None:
        """Let go of what never was a run.

        Raises:
            OSError: the store cannot be reached.
        """
        self.place.remove(f"{FOLDER}/{self._name}")

    @property
    def _name(self) -> str:
        return f"{self.number:08d}-{self.note.token}.json"

    def _write(self, note: Note) -> None:
        self.place.write(f"{FOLDER}/{self._name}", json.dumps(asdict(note), indent=1).encode())
        self.note = note


def new_token() -> str:
    """A token that nobody else has."""
    return uuid4().hex


def latest(place: Place) -> tuple[int, Note] | None:
    """The newest note on a run, with its number; None where nobody ever left one.

    Raises:
        OSError: the store cannot be reached, or the note makes no sense.
    """
    return next(_notes(place), None)


def _inherited(place: Place, *, below: int) -> Mapping[str, Any] | None:
    """What the last process that has not let go may have spent, None where one has, or nothing was spent.

    A process that was lost as it took the run left a note that says nothing of that; the one before it then does.
    """
    for number, note in _notes(place):
        if number < below and (note.released or note.ledger is not None):
            return note.ledger
    return None


def _notes(place: Place) -> Iterator[tuple[int, Note]]:
    """All notes, from the newest."""
    for name in sorted(_names(place), reverse=True):
        raw = place.read(f"{FOLDER}/{name}")
        if raw is not None:
            yield _number(name), _parsed(raw, f"{place.url}/{FOLDER}/{name}")


def _parsed(raw: bytes, where: str) -> Note:
    try:
        note = Note(**json.loads(raw))
        datetime.fromisoformat(note.until)
    except (ValueError, TypeError) as error:
        raise OSError(f"{where} says nothing that makes sense ({error}); remove it") from error
    return note


def _names(place: Place) -> list[str]:
    found = place.names(FOLDER)
    return [name for name in found if name.partition("-")[0].isdecimal() and name.endswith(".json")]


def _number(name: str) -> int:
    return int(name.partition("-")[0])


def _refusal(place: Place, note: Note) -> str:
    return (
        f"{place.url} is in use by process {note.process} on {note.host}; wait for it, or if it is lost, until "
        f"{note.until}, when its hold ends"
    )
