"""From the results of an ended job to answers on record, and to what becomes of questions without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from oracles.errors import OracleUnavailable
from oracles.ledger import Purpose
from oracles.oracle import Answers
from oracles.remote.batches.booking import Books
from oracles.remote.batches.endpoint import BatchEndpoint, End, Item, JobState, repeated
from oracles.remote.batches.journal import Job, Piece, Stage
from oracles.remote.batches.results import Outcome, Reading, Results
from oracles.usage import NO_USAGE, Metered

_FAILURES = 3
"""How often a draw is asked about that comes back without an answer, while others are answered."""

_BARREN = 2
"""Jobs in a row that may end without anything about a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Collects what jobs answered.

    Args:
        endpoint: of the vendor.
        books: of the run.
        read: from the body of a reply to its answer; raises as `WireProtocol.parse`.
        used: from the body of a reply, and whether it holds an answer, to the tokens that it tells of.
        checked: called when all answers of a job were read; raises `OracleChanged` to refuse them.
        pause: waits until results may have become whole.
        sleep: waits for a number of seconds.
        tell: told in a line what came of a job.
    """

    endpoint: BatchEndpoint
    books: Books
    read: Callable[[bytes], Answers]
    used: Callable[[bytes, bool], Metered]
    checked: Callable[[], None]
    pause: Callable[[], None]
    sleep: Callable[[float], None]
    tell: Callable[[str], None]

    def collect(self, job: Job, state: JobState) -> None:
        """Record what an ended job answered, and take back what it did not.

        Raises:
            OracleUnavailable: the vendor refuses its jobs, or answers none.
            OracleChanged: another model answered.
        """
        partial = state.partial or bool(state.words)
        reading = Reading(job, self._results(job, state), partial, self.read)
        progress = self.books.journal.progress
        tally = _Tally(
            {piece: {} for piece in job.pieces}, dict(progress.failures), given_up=_FAILURES if progress.answered else 0
        )
        for piece, draw, outcome, answer, body in reading.outcomes():
            tally.add(piece, draw, outcome, answer)
            if body is not None:
                tally.told += self.used(body, not outcome.failed)
        self.checked()
        fresh = tally.fresh
        self.books.record_answers(
            job,
            tally.found,
            tally.unpaid,
            tally.told,
            failures={name: times for name, times in tally.failed.items() if times < _FAILURES},
            answered=progress.answered + fresh,
            barren=0 if fresh or tally.heard or job.cancelled else progress.barren + 1,
        )
        complaint = reading.results.complaint(reading.missing)
        said = f"job {job.name}: {fresh:,} of {job.count:,} questions are answered"
        self.tell(f"{said}; {complaint}" if complaint else said)
        self._refuse_hopeless(state, tally, reading.trouble)

    def _results(self, job: Job, state: JobState) -> Results:
        """What a job says of its questions; read twice where something is lacking, since files may come late."""
        if state.words:
            return Results.of(job, [])
        found = self._items(state)
        results = Results.of(job, found)
        if state.partial or not results.lacks(job):
            return results
        self.pause()
        again = self._items(state)
        answered = {item.key for item in again if item.end is End.ANSWERED}
        kept = [item for item in found if item.end is End.ANSWERED and item.key not in answered]
        return Results.of(job, [*again, *kept])

    def _items(self, state: JobState) -> list[Item]:
        return repeated(lambda: list(self.endpoint.items(state)), self.sleep)

    def _refuse_hopeless(self, state: JobState, tally: _Tally, trouble: str) -> None:
        """End a run whose jobs come back without answers.

        Raises:
            OracleUnavailable: the vendor refuses them, or answers none.
        """
        name, journal = self.endpoint.name, self.books.journal
        if state.words and not (state.full and journal.at(Stage.SUBMITTED)):
            raise OracleUnavailable(f"{name} refuses a batch job: {state.words}")
        if tally.failures and not tally.fresh and not journal.progress.answered:
            raise OracleUnavailable(f"{name} answers no question of a batch job: {trouble}")
        if journal.progress.barren >= _BARREN:
            journal.note(barren=0)
            said = f": {trouble}" if trouble else ""
            raise OracleUnavailable(f"{_BARREN} jobs in a row ended at {name} without any answer{said}")


@dataclass(slots=True)
class _Tally:
    """Sums over the questions of a job.

    Attributes:
        found: by piece, the answers to draws; None for an image that is refused.
        failed: by draw, how often it came back without an answer.
        given_up: failures after which a draw counts as refused, 0 for never.
        unpaid: by purpose, questions that are not billed.
        told: tokens that the replies told of.
        failures: questions of this job without an answer.
        heard: whether the vendor said anything about a question that had its turn.
    """

    found: dict[Piece, dict[int, Answers | None]]
    failed: dict[str, int]
    given_up: int
    unpaid: dict[Purpose, int] = field(default_factory=dict)
    told: Metered = NO_USAGE
    failures: int = 0
    heard: bool = False

    @property
    def fresh(self) -> int:
        """Draws that have their answer now, or are refused."""
        return sum(map(len, self.found.values()))

    def add(self, piece: Piece, draw: int, outcome: Outcome, answer: Answers | None) -> None:
        """Count a question."""
        self.heard |= outcome not in (Outcome.UNREADABLE, Outcome.UNDONE)
        if not outcome.billed:
            self.unpaid[piece.purpose] = self.unpaid.get(piece.purpose, 0) + 1
        if outcome is Outcome.UNDONE:
            return
        if not outcome.failed:
            self.found[piece][draw] = answer
            return
        self.failures += 1
        name = f"{piece.stream.hex()} {draw}"
        self.failed[name] = self.failed.get(name, 0) + 1
        if 0 < self.given_up <= self.failed[name]:
            self.found[piece][draw] = None
