"""The journal of a run's batch jobs: what is intended, charged, submitted and recorded, on disk before it is done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from oracles.answer_encoding import seal, unseal
from oracles.errors import RecordDamaged
from oracles.ledger import Purpose
from oracles.store import ResponseStore

_SUM = 4


class Stage(StrEnum):
    """How far a job has come. A process that was killed left it there, or on its way to the next stage."""

    INTENDED = "intended"
    """Nothing was submitted. Its charge may be in the ledger, or not yet."""

    CHARGED = "charged"
    """Its charge is in the ledger. It may have been submitted, or not."""

    SUBMITTED = "submitted"
    """The vendor has it, under a known name."""

    LOST = "lost"
    """Its submission was not answered and it was not found. Its draws may be asked about again."""

    RECORDED = "recorded"
    """Its answers are on record. What it did not answer may be taken back in the ledger, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Consecutive draws of one stream.

    Attributes:
        purpose: what they are for.
        stream: its name, 32 bytes.
        first: number of the first draw.
        count: how many.
    """

    purpose: Purpose
    stream: bytes
    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job.

    Attributes:
        tag: our name of it.
        stage: how far it has come.
        pieces: its draws; question k is about draw k of them all.
        before: by purpose, queries in the ledger before the change that its stage is about.
        change: by purpose, that change.
        told: usage that its answers told of (`Metered.as_json`), which is counted once it is recorded.
        told_before: answers by batch in the ledger that had told their usage before.
        name: the vendor's name of it.
        since: seconds since 1970 when it was about to be submitted.
        cancelled: whether it was cancelled by us.
    """

    tag: str
    pieces: tuple[Piece, ...]
    stage: Stage = Stage.INTENDED
    before: Mapping[str, int] = field(default_factory=dict)
    change: Mapping[str, int] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    told_before: int = 0
    name: str = ""
    since: float = 0.0
    cancelled: bool = False

    @property
    def count(self) -> int:
        """Number of its questions."""
        return sum(piece.count for piece in self.pieces)

    def counts(self) -> dict[Purpose, int]:
        """Its questions by purpose."""
        found: dict[Purpose, int] = {}
        for piece in self.pieces:
            found[piece.purpose] = found.get(piece.purpose, 0) + piece.count
        return found

    def questions(self) -> Iterator[tuple[str, Piece, int]]:
        """(name, piece, number of the draw) of each question."""
        number = 0
        for piece in self.pieces:
            for draw in range(piece.first, piece.first + piece.count):
                yield f"{self.tag}-{number}", piece, draw
                number += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What the jobs of a run have come to.

    Attributes:
        tags: of the jobs that are not done, in the order in which they were intended.
        begun: jobs so far; each has its number in its tag.
        looks: how often answers were waited for before anything more was asked.
        answered: questions that were answered.
        barren: jobs in a row that ended without any answer.
        failures: by draw, how often it came back without an answer that counts.
    """

    tags: tuple[str, ...] = ()
    begun: int = 0
    looks: int = 0
    answered: int = 0
    barren: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)


class Journal:
    """Jobs of one run, in its store of answers, so that answers and what is said of their jobs change together.

    Args:
        store: of the run.
        run: tag of the run, without which jobs in answers that were taken over would seem to be its own.

    Attributes:
        store: as given.
        progress: as of now.

    Raises:
        RecordDamaged: a row is not as it was written.
    """

    def __init__(self, store: ResponseStore, run: str) -> None:
        """Read what earlier processes left."""
        self.store, self._run = store, run
        found = self._read("")
        self.progress = Progress() if found is None else _progress(found)
        self._jobs = {tag: self._job(tag) for tag in self.progress.tags}

    @property
    def jobs(self) -> list[Job]:
        """Jobs that are not done, in the order in which they were intended."""
        return list(self._jobs.values())

    @property
    def next_tag(self) -> str:
        """Tag of the next job."""
        return f"bbs-{self._run}-{self.progress.begun}"

    def at(self, *stages: Stage) -> list[Job]:
        """Jobs at one of these stages."""
        return [job for job in self._jobs.values() if job.stage in stages]

    def put(self, job: Job, **changes: Any) -> Job:
        """Write down a job, a new or a changed one, durably; return it."""
        job = replace(job, **changes)
        with self.store.transaction():
            self._write(job.tag, asdict(job) | {"pieces": [_plain(piece) for piece in job.pieces]})
            if job.tag not in self._jobs:
                self.note(tags=(*self.progress.tags, job.tag), begun=self.progress.begun + 1)
        self._jobs[job.tag] = job
        return job

    def remove(self, job: Job) -> None:
        """Forget a job that is done."""
        with self.store.transaction():
            self.note(tags=tuple(tag for tag in self.progress.tags if tag != job.tag))
            self.store.remove([self._key(job.tag)])
        self._jobs.pop(job.tag, None)

    def note(self, **changes: Any) -> None:
        """Write down changes of `progress`, durably."""
        progress = replace(self.progress, **changes)
        self._write("", asdict(progress))
        self.progress = progress

    def _key(self, tag: str) -> bytes:
        return f"batch {self._run} {tag}".encode()

    def _read(self, tag: str) -> dict[str, Any] | None:
        key = self._key(tag)
        (raw,) = self.store.read([key])
        if raw is None:
            return None
        try:
            return dict(json.loads(unseal(key, raw, len(raw) - _SUM)))
        except ValueError as error:
            raise RecordDamaged(f"the journal of batch jobs cannot be read: {error}") from error

    def _write(self, tag: str, tree: Mapping[str, Any]) -> None:
        key = self._key(tag)
        self.store.write({key: seal(key, json.dumps(tree).encode())})

    def _job(self, tag: str) -> Job:
        if (tree := self._read(tag)) is None:
            raise RecordDamaged(f"the journal of batch jobs lacks {tag}; restore the run from a copy")
        pieces = tuple(_piece(piece) for piece in tree.pop("pieces"))
        return Job(**tree | {"stage": Stage(tree["stage"]), "pieces": pieces})


def _progress(tree: Mapping[str, Any]) -> Progress:
    return Progress(**{**tree, "tags": tuple(tree["tags"])})


def _plain(piece: Piece) -> list[Any]:
    return [piece.purpose.value, piece.stream.hex(), piece.first, piece.count]


def _piece(plain: list[Any]) -> Piece:
    purpose, stream, first, count = plain
    return Piece(purpose=Purpose(purpose), stream=bytes.fromhex(stream), first=first, count=count)
