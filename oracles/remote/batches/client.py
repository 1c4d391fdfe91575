"""Draws answered by jobs of a batch interface: nothing paid twice, nothing lost, wherever a process is killed.

The order of things, each on disk before the next: the intent with its draws; the charge in the ledger; that it is
charged; the submission; the vendor's name of the job. Then it is waited for, and in one step its answers and that they
are recorded are written down; last, what it did not answer is taken back in the ledger.

A process that goes on reads off where another was killed. An intent was never submitted: its charge, if the ledger has
it, is taken back. A charge without a name may have been submitted: the vendor's list of jobs tells, by our tag. Where
it is not there, its charge stays for an hour (until then it could still appear), and its draws are asked about again;
a job that appears after all is cancelled, and what it answered counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from oracles.errors import AnswerLost, OracleError, OracleUnavailable, Unanswered
from oracles.ledger import Ledger, Purpose
from oracles.oracle import Answers
from oracles.remote.batches.booking import Books
from oracles.remote.batches.collecting import Collector
from oracles.remote.batches.endpoint import BatchEndpoint, Found, Gone, repeated
from oracles.remote.batches.journal import Job, Journal, Piece, Stage
from oracles.remote.batches.record import AnswerRecord
from oracles.remote.messages import Request
from oracles.usage import NO_USAGE, Metered

APPEARS_SECONDS = 3600.0
"""Seconds after its submission in which a job that is not listed could still appear."""

KEPT_SECONDS = 30 * 86_400.0
"""Seconds after its submission for which a vendor may keep what a job has answered (OpenAI and Anthropic: a month)."""

_SEARCHES = 5
"""How often a job is looked for in the vendor's list, before it counts as lost."""

_ROOM = 64
"""Bytes of a job besides its questions."""


@dataclass(slots=True, kw_only=True)
class BatchClient:
    """Asks about draws by jobs, on the account of a run.

    Args:
        endpoint: of the vendor.
        journal: of the run's jobs.
        ledger: charged.
        record: keeps the answers.
        read: from the body of a reply to its answer; raises as `WireProtocol.parse`.
        used: from the body of a reply, and whether it holds an answer, to the tokens that it tells of.
        checked: called when all answers of a job were read; raises `OracleChanged` to refuse them.
        sleep: waits for a number of seconds.
        poll_seconds: between two looks at the jobs.
        patience_seconds: for which a vendor may turn jobs away while none is under way.
        clock: seconds since 1970.
        tell: told in a line what happens.
        answered: told (purpose, number) of answers that were recorded.
    """

    endpoint: BatchEndpoint
    journal: Journal
    ledger: Ledger
    record: AnswerRecord
    read: Callable[[bytes], Answers]
    used: Callable[[bytes, bool], Metered] = lambda body, answered: NO_USAGE
    checked: Callable[[], None] = lambda: None
    sleep: Callable[[float], None] = time.sleep
    poll_seconds: float = 60.0
    patience_seconds: float = 3600.0
    clock: Callable[[], float] = time.time
    tell: Callable[[str], None] = lambda line: None
    answered: Callable[[Purpose, int], None] = lambda purpose, number: None
    _books: Books = field(init=False)
    _collector: Collector = field(init=False)

    def __post_init__(self) -> None:
        """Open the books."""
        self._books = Books(self.journal, self.ledger, self.record, self.answered)
        self._collector = Collector(
            endpoint=self.endpoint,
            books=self._books,
            read=self.read,
            used=self.used,
            checked=self.checked,
            pause=lambda: self.sleep(self.poll_seconds),
            sleep=self.sleep,
            tell=self.tell,
        )

    def drain(self) -> None:
        """Bring all jobs to their ends; what they answered is on record then.

        Raises:
            OracleUnavailable: the vendor cannot be reached, refuses, or answers nothing.
            OracleChanged: another model answered than before.
        """
        self._recover()
        self._cancel_beyond_budget()
        while self._pass():
            self.sleep(self.poll_seconds)

    def ask(self, pieces: Sequence[Piece], compose: Callable[[Piece], Iterable[Request]], *, look: bool = True) -> None:
        """Ask about draws, in as many jobs as it takes, and wait for all of them.

        Draws that came back without an answer are left without; the record tells.

        Args:
            pieces: the draws; none of them in a job that is under way.
            compose: the question about each draw of a piece, in order.
            look: whether this counts as a look, rather than as one more try for what came back without an answer.

        Raises:
            BudgetExhausted: they do not fit; nothing of the job that does not was submitted.
            OracleError: as for `drain`.
        """
        self.drain()
        lines, held, size = list[bytes](), list[Piece](), _ROOM
        for piece in pieces:
            for draw, request in enumerate(compose(piece), piece.first):
                line = self.endpoint.line(f"{self.journal.next_tag}-{len(lines)}", request)
                most = self.endpoint.limits
                if lines and (len(lines) == most.requests or size + len(line) + 1 > most.size):
                    self._submit(lines, held)
                    lines, held, size = [], [], _ROOM
                    line = self.endpoint.line(f"{self.journal.next_tag}-0", request)
                lines.append(line)
                size += len(line) + 1
                _hold(held, replace(piece, first=draw, count=1))
        if lines:
            self._submit(lines, held)
        self.journal.note(looks=self.journal.progress.looks + look)
        self.drain()

    def _submit(self, lines: list[bytes], pieces: list[Piece]) -> None:
        """Submit a job: its intent and its charge are on disk before, its name is after."""
        job = self._books.intend(tuple(pieces))
        try:
            body = repeated(partial(self.endpoint.stage, lines, job.tag), self.sleep)
            self._books.charge(job)
        except OracleError:
            self._books.forget(job)
            raise
        job = self.journal.put(job, stage=Stage.CHARGED, since=self.clock())
        try:
            job, name = self._submitted(job, body)
        except OracleError:
            self._books.turned_away(job)
            raise
        if not name:
            self._find(job)
            return
        self.journal.put(job, stage=Stage.SUBMITTED, name=name)
        self.tell(f"job {name} of {job.count:,} questions is submitted to {self.endpoint.name}")

    def _submitted(self, job: Job, body: bytes) -> tuple[Job, str]:
        """The job and its name, empty where nobody knows, after as many tries as the vendor turns away when busy."""
        since = self.clock()
        while True:
            try:
                return job, self.endpoint.submit(body)
            except AnswerLost:
                return job, ""
            except Unanswered as error:
                under_way = self._pass()
                if not under_way and self.clock() - since > self.patience_seconds:
                    raise OracleUnavailable(str(error)) from error
                self.sleep(max(self.poll_seconds, error.retry_after or 0.0))
                job = self.journal.put(job, since=self.clock())

    def _recover(self) -> None:
        """Go on with what a killed process left between two stages."""
        for job in self.journal.at(Stage.RECORDED):
            self._books.settle(job)
        for job in self.journal.at(Stage.INTENDED):
            self._books.forget(job)
        for job in self.journal.at(Stage.CHARGED):
            self._find(job)
        for job in self.journal.at(Stage.LOST):
            self._find_late(job)

    def _find(self, job: Job) -> None:
        """Look for a job that may have been submitted."""
        for search in range(_SEARCHES):
            if search:
                self.sleep(self.poll_seconds)
            while (found := self._looked_for(job)) is Found.PERHAPS:
                self.sleep(self.poll_seconds)
            if isinstance(found, str):
                self.journal.put(job, stage=Stage.SUBMITTED, name=found)
                self.tell(f"job {found} of {job.count:,} questions is found again")
                return
        self.journal.put(job, stage=Stage.LOST)
        self.tell(
            f"a job of {job.count:,} questions is not at {self.endpoint.name}; they stay charged for an hour, in "
            "which it could still appear, and are asked again"
        )

    def _find_late(self, job: Job) -> None:
        """Look again for a job that was not found: its draws may be in another one, so that it is cancelled."""
        found = self._looked_for(job)
        if isinstance(found, str):
            self._cancel(self.journal.put(job, stage=Stage.SUBMITTED, name=found))
        elif found is Found.ABSENT and self.clock() - job.since > APPEARS_SECONDS:
            self._books.record_answers(job, {}, job.counts())

    def _looked_for(self, job: Job) -> str | Found:
        return repeated(partial(self.endpoint.find, job.tag, job.count, job.since), self.sleep)

    def _cancel(self, job: Job) -> None:
        repeated(partial(self.endpoint.cancel, job.name), self.sleep)
        self.journal.put(job, cancelled=True)

    def _cancel_beyond_budget(self) -> None:
        """Cancel the latest jobs where the budget is smaller than when they were submitted."""
        left = self.ledger.remaining_by_batch(lambda queries: queries)
        for job in reversed(self.journal.at(Stage.SUBMITTED)):
            if left is None or left >= 0:
                return
            if not job.cancelled:
                self._cancel(job)
                self.tell(f"job {job.name} is cancelled: the budget does not hold it")
            left += job.count

    def _pass(self) -> bool:
        """Look at each job once and record those that have ended; True where some are still under way."""
        for job in self.journal.at(Stage.SUBMITTED):
            try:
                state = repeated(partial(self.endpoint.look, job.name), self.sleep)
                if state.ended:
                    self._collector.collect(job, state)
            except Gone:
                if self.clock() - job.since < KEPT_SECONDS:
                    raise
                self._books.record_answers(job, {}, {})
                self.tell(f"job {job.name} is not kept any more: its {job.count:,} questions stay charged")
        return bool(self.journal.at(Stage.SUBMITTED))


def _hold(held: list[Piece], draw: Piece) -> None:
    """Add a draw, to the last piece where it follows."""
    if held:
        last = held[-1]
        if (last.purpose, last.stream, last.first + last.count) == (draw.purpose, draw.stream, draw.first):
            held[-1] = replace(last, count=last.count + 1)
            return
    held.append(draw)
