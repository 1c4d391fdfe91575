"""Leases on runs behind URLs: which process works on one, and what it may have spent by now.

Object stores have no locks, and a process that seemed lost may wake up in the middle of a write. So nobody writes over
anybody else's record: each process that takes a run puts down a record with the next number and renews only that one.
A process that finds a record with a higher number has lost the run. As the record also says what may be spent, and is
written before it is spent, the next process knows of all of it: it puts down its own record first and reads the old one
then, while the old process writes first and looks for a new record then; so one of them finds the other's.
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
"""Folder of the records at the URL, which is no part of the run directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """The holder of a lease, as it stands at the URL.

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
        """True while its process is at work, as far as anybody can tell."""
        return not self.released and datetime.now(UTC) < datetime.fromisoformat(self.until)


@dataclass(slots=True)
class Lease:
    """One process's lease on a run.

    Attributes:
        place: the run.
        number: of the record, a fencing token: a process that finds a higher one has lost the run.
        seconds: that the record holds for, without being renewed.
        record: as it was written last.
    """

    place: Place
    number: int
    seconds: float
    record: LeaseRecord

    @classmethod
    def take(cls, place: Place, *, own: frozenset[str], token: str, seconds: float) -> Lease:
        """Take hold of a run. What its last process may have spent stands in the new record too.

        Args:
            place: the run.
            own: tokens of earlier processes that are known to be gone.
            token: of this process.
            seconds: see `Lease`; clocks of different machines may differ by a small part of them.

        Raises:
            UsageError: another process has it.
            OSError: the store cannot be reached.
        """
        last = latest(place)
        if last is not None and last[1].token not in own and last[1].holds:
            raise UsageError(_refusal(place, last[1]))
        number = 1 + (0 if last is None else last[0])
        record = LeaseRecord(token=token, host=socket.gethostname(), process=os.getpid(), until="")
        lease = cls(place, number, seconds, record)
        lease.renew(None)
        rivals = [name for name in _names(place) if _number(name) >= number and name != lease._name]
        if rivals:
            lease.withdraw()
            raise UsageError(f"another process has just taken {place.url}; wait for it, or name another `run`")
        lease.renew(_inherited(place, below=number))
        for name in _names(place):
            if _number(name) < number:
                place.remove(f"{FOLDER}/{name}")
        return lease

    def renew(self, ledger: Mapping[str, Any] | None) -> None:
        """Hold on for another while, and say what may be spent by then.

        Raises:
            OSError: the store cannot be reached.
        """
        until = datetime.now(UTC) + timedelta(seconds=self.seconds)
        self._write(replace(self.record, until=until.isoformat(timespec="milliseconds"), ledger=ledger))

    def check(self) -> None:
        """Refuse to go on where another process has taken over.

        Raises:
            StorageError: one has.
            OSError: the store cannot be reached.
        """
        if any(_number(name) > self.number for name in _names(self.place)):
            raise StorageError(f"another process has taken over {self.place.url}; this one stops")

    def release(self) -> None:
        """Let go of a run that is whole at the URL. The record stays, so that older processes know.

        Raises:
            OSError: the store cannot be reached.
        """
        self._write(replace(self.record, released=True, ledger=None))

    def give_up(self) -> None:
        """Let others take what this process could not go on with; what may be spent still stands in the record.

        Raises:
            OSError: the store cannot be reached.
        """
        self._write(replace(self.record, until=datetime.now(UTC).isoformat(timespec="milliseconds")))

    def withdraw(self) -> None:
        """Let go of what never was a run.

        Raises:
            OSError: the store cannot be reached.
        """
        self.place.remove(f"{FOLDER}/{self._name}")

    @property
    def _name(self) -> str:
        return f"{self.number:08d}-{self.record.token}.json"

    def _write(self, record: LeaseRecord) -> None:
        self.place.write(f"{FOLDER}/{self._name}", json.dumps(asdict(record), indent=1).encode())
        self.record = record


def new_token() -> str:
    """A token that nobody else has."""
    return uuid4().hex


def latest(place: Place) -> tuple[int, LeaseRecord] | None:
    """The newest record on a run, with its number; None where nobody ever left one.

    Raises:
        OSError: the store cannot be reached, or the record makes no sense.
    """
    return next(_records(place), None)


def _inherited(place: Place, *, below: int) -> Mapping[str, Any] | None:
    """The ledger of the last process that has not let go; None where it has, or nothing was spent.

    A process that was lost as it took the run left a record that says nothing of that; the one before it then does.
    """
    for number, record in _records(place):
        if number < below and (record.released or record.ledger is not None):
            return record.ledger
    return None


def _records(place: Place) -> Iterator[tuple[int, LeaseRecord]]:
    """All records, from the newest."""
    for name in sorted(_names(place), reverse=True):
        raw = place.read(f"{FOLDER}/{name}")
        if raw is not None:
            yield _number(name), _parsed(raw, f"{place.url}/{FOLDER}/{name}")


def _parsed(raw: bytes, where: str) -> LeaseRecord:
    try:
        record = LeaseRecord(**json.loads(raw))
        datetime.fromisoformat(record.until)
    except (ValueError, TypeError) as error:
        raise OSError(f"{where} says nothing that makes sense ({error}); remove it") from error
    return record


def _names(place: Place) -> list[str]:
    found = place.names(FOLDER)
    return [name for name in found if name.partition("-")[0].isdecimal() and name.endswith(".json")]


def _number(name: str) -> int:
    return int(name.partition("-")[0])


def _refusal(place: Place, record: LeaseRecord) -> str:
    return (
        f"{place.url} is in use by process {record.process} on {record.host}; wait for it, or if it is lost, until "
        f"{record.until}, when its hold ends"
    )
