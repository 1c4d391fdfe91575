"""A batch interface without a network, whose jobs outlive whoever asks; and a process that dies where it is told to."""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from oracles import (
    AnswerError,
    AnswerLost,
    Answers,
    Budget,
    ImageRefused,
    Ledger,
    Purpose,
    ResponseStore,
    Unanswered,
    VoteLog,
)
from oracles.remote.batches.client import BatchClient
from oracles.remote.batches.endpoint import BatchLimits, End, Found, Item, JobState
from oracles.remote.batches.journal import Journal, Piece
from oracles.remote.batches.record import VoteRecord
from oracles.remote.messages import Request
from oracles.usage import Metered, Usage
from tests.builders import spec

PURPOSES = (Purpose.SELECT, Purpose.ESTIMATE)


class Death(BaseException):
    """The process is gone."""


def stream(number: int) -> bytes:
    """The name of a stream."""
    return bytes([number]) * 32


def truth(purpose: Purpose, name: bytes, draw: int) -> int:
    """The label of a draw."""
    return (name[0] + draw * (3 if purpose is Purpose.SELECT else 5)) % 3


def pieces(streams: int = 2, select: int = 3, estimate: int = 5) -> list[Piece]:
    """Draws of some streams."""
    sizes = zip(PURPOSES, (select, estimate), strict=True)
    return [
        Piece(purpose=purpose, stream=stream(2 * number + place), first=0, count=count)
        for place, (purpose, count) in enumerate(sizes)
        for number in range(streams)
    ]


def compose(piece: Piece) -> Iterator[Request]:
    """The question about each draw: its name."""
    for draw in range(piece.first, piece.first + piece.count):
        body = json.dumps([piece.purpose.value, piece.stream.hex(), draw]).encode()
        yield Request("POST", "http://127.0.0.1/", {}, body)


@dataclass
class Desk:
    """A vendor. See `tests.oracles.remote.batches.vendor.Vendor` for what goes wrong.

    Attributes:
        spoiling: share of the lines of results that cannot be read.
        lenient: whether no question fails or is spoilt more than twice.
        hidden: searches in which a job that was submitted last is not listed yet.
    """

    chance: random.Random = field(default_factory=lambda: random.Random(1))
    looks: int = 1
    failing: float = 0.0
    expiring: float = 0.0
    spoiling: float = 0.0
    lenient: bool = False
    mute: float = 0.0
    busy: float = 0.0
    hidden: int = 0
    forgets: bool = False
    refuse: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)
    empty: set[str] = field(default_factory=set)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    billed: Counter[str] = field(default_factory=Counter)
    spoilt: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    name: str = "Desk"
    limits: BatchLimits = BatchLimits(requests=7, size=10**6)  # noqa: RUF009

    def line(self, key: str, request: Request) -> bytes:
        return json.dumps([key, request.body.decode()]).encode()

    def stage(self, lines: Sequence[bytes], tag: str) -> bytes:
        return json.dumps([tag, [json.loads(line) for line in lines]]).encode()

    def submit(self, body: bytes) -> str:
        if self.chance.random() < self.busy:
            raise Unanswered("too many")
        tag, items = json.loads(body)
        assert len(items) <= self.limits.requests
        assert tag not in {job["tag"] for job in self.jobs.values()}, "a tag is used once"
        name = f"job{len(self.jobs)}"
        if not self.forgets:
            words = self.refuse.pop(0) if self.refuse else ""
            self.jobs[name] = {"tag": tag, "items": items, "left": self.looks, "words": words, "cancelled": False}
        if self.forgets or self.chance.random() < self.mute:
            raise AnswerLost("the connection broke")
        return name

    def look(self, job: str) -> JobState:
        found = self.jobs[job]
        found["left"] -= 1
        if "ends" not in found and not found["words"] and (found["left"] < 0 or found["cancelled"]):
            self._end(found)
        ended, expired = "ends" in found or bool(found["words"]), "undone" in found.get("ends", {}).values()
        return JobState(
            ended=ended, words=found["words"], full="full" in found["words"], partial=expired, tree={"name": job}
        )

    def _end(self, job: dict[str, Any]) -> None:
        items = list(job["items"])
        self.chance.shuffle(items)
        short = job["cancelled"] or self.chance.random() < self.expiring
        done = self.chance.randrange(len(items) + 1) if short else len(items)
        job["ends"] = {}
        for number, (key, body) in enumerate(items):
            if number >= done:
                job["ends"][key] = "undone"
            elif body in self.bad or self._may(body, self.failing):
                job["ends"][key] = "failed"
                self.failed[body] += 1
            else:
                spoilt = self._may(body, self.spoiling)
                job["ends"][key] = self.chance.choice(["garbled", "nameless", "contradicted"]) if spoilt else "answered"
                self.spoilt[body] += spoilt
                self.billed[body] += 1

    def _may(self, body: str, share: float) -> bool:
        """True by chance, but no third time for one question of a lenient vendor."""
        spent = self.lenient and self.spoilt[body] + self.failed[body] == 2
        return share > 0 and not spent and self.chance.random() < share

    def items(self, state: JobState) -> Iterator[Item]:
        job = self.jobs[state.tree["name"]]
        bodies = dict(job["items"])
        for key, end in sorted(job["ends"].items(), reverse=True):
            match end:
                case "answered":
                    yield Item(key, End.ANSWERED, b"" if bodies[key] in self.empty else bodies[key].encode())
                case "failed":
                    yield Item(key, End.FAILED, words="the picture cannot be read")
                case "garbled":
                    yield Item("", End.UNREADABLE, json.dumps([key])[:-1].encode(), "cut off")
                case "nameless":
                    yield Item("", End.UNREADABLE, b"{", "cut off")
                case "contradicted":
                    yield Item(key, End.ANSWERED, bodies[key].encode())
                    yield Item(key, End.ANSWERED, bodies[key].encode() + b" ")
                case _:
                    yield Item(key, End.UNDONE)

    def find(self, tag: str, count: int, since: float) -> str | Found:
        if self.hidden:
            self.hidden -= 1
            return Found.ABSENT
        found = [name for name, job in self.jobs.items() if job["tag"] == tag]
        assert all(len(self.jobs[name]["items"]) == count for name in found)
        return found[0] if found else Found.ABSENT

    def cancel(self, job: str) -> None:
        self.jobs[job]["cancelled"] = True


def read(body: bytes) -> Answers:
    """The label in a reply."""
    if not body:
        raise AnswerError("it says nothing")
    purpose, name, draw = json.loads(body)
    if draw == 99:
        raise ImageRefused("no label")
    return Answers(torch.tensor([truth(Purpose(purpose), bytes.fromhex(name), draw)]))


MOST = Usage(40, 4)
"""Tokens of no answer are more."""


def usage(body: bytes) -> Usage:
    """The tokens that an answer took."""
    return Usage(len(body) % (MOST.input_tokens + 1), zlib.crc32(body) % (MOST.output_tokens + 1))


def used(body: bytes, answered: bool) -> Metered:
    """What a reply tells of them; every fifth tells nothing."""
    return Metered() if zlib.crc32(body) % 5 == 0 else Metered.of(usage(body), by_batch=True, answered=answered)


@dataclass
class Run:
    """What is on the disk of a run, and the processes that work on it.

    Attributes:
        folder: of the run.
        desk: the vendor.
        budget: of the run.
        now: seconds since 1970.
        dies_at: steps until the process dies, None for never.
        steps: so far in this process.
    """

    folder: Path
    desk: Desk
    budget: Budget = field(default_factory=Budget)
    now: float = 1e9
    dies_at: int | None = None
    steps: int = 0
    told: list[str] = field(default_factory=list)

    def step(self) -> None:
        """One more step; the process may die."""
        self.steps += 1
        if self.steps == self.dies_at:
            raise Death

    def sleep(self, seconds: float) -> None:
        """Time passes at once."""
        self.now += seconds

    def _mortal(self, owner: Any, *names: str) -> Any:
        """Steps before and after each call of these methods."""
        for name in names:
            setattr(owner, name, self._stepped(getattr(owner, name)))
        return owner

    def _stepped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = call(*args, **kwargs)
            self.step()
            return result

        return stepped

    def client(self) -> BatchClient:
        """A new process on what is on disk."""
        self.steps = 0
        store = ResponseStore(self.folder / "responses")
        store._cache.reset("sqlite_synchronous", 0)  # no power fails in these tests
        ledger = self._mortal(Ledger(self.budget, self.folder / "ledger.json"), "charge", "refund", "tell")
        journal = self._mortal(Journal(store, "run"), "put", "remove", "note")
        votes = VoteLog(store, spec(3))
        desk = _Mortal(self.desk, self._stepped)
        return BatchClient(
            endpoint=desk,
            journal=journal,
            ledger=ledger,
            record=VoteRecord(votes),
            read=read,
            used=used,
            sleep=self.sleep,
            clock=lambda: self.now,
            tell=self.told.append,
        )

    def finish(self, wanted: Iterable[Piece], most: int = 30) -> int:
        """Ask until every draw has its answer; how often that took asking."""
        wanted = list(wanted)
        for asked in range(most):
            client = self.client()
            try:
                client.drain()
                missing = list(gaps(votes_of(client), wanted))
                if not missing:
                    return asked
                client.ask(missing, compose)
            finally:
                client.journal.store.close()
        raise AssertionError("it never ends")


class _Mortal:
    """A desk at which a process may die before and after each request."""

    def __init__(self, desk: Desk, stepped: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._desk, self._stepped = desk, stepped

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._desk, name)
        return self._stepped(found) if name in ("stage", "submit", "look", "find", "cancel") else found


def votes_of(client: BatchClient) -> VoteLog:
    """The votes that it records."""
    assert isinstance(client.record, VoteRecord)
    return client.record.votes


def gaps(votes: VoteLog, wanted: Iterable[Piece]) -> Iterator[Piece]:
    """The draws that are not on record."""
    for piece in wanted:
        for place, label in enumerate(votes.read(piece.stream, piece.first, piece.count).tolist()):
            if label == -1:
                yield Piece(purpose=piece.purpose, stream=piece.stream, first=piece.first + place, count=1)


def ledger(run: Run) -> Ledger:
    """What a run was charged."""
    return Ledger(Budget(), run.folder / "ledger.json")


def check_votes(run: Run) -> None:
    """Every draw on record has its true label."""
    store = ResponseStore(run.folder / "responses")
    votes = VoteLog(store, spec(3))
    for piece in pieces():
        found = votes.read(piece.stream, piece.first, piece.count).tolist()
        assert found == [truth(piece.purpose, piece.stream, draw) for draw in range(piece.count)]
    store.close()
