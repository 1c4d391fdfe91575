"""Charges and answers of jobs: each change is on disk, and can be told from one that is not, before the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from oracles.ledger import Ledger, Purpose
from oracles.oracle import Answers
from oracles.remote.batches.journal import Job, Journal, Piece, Stage
from oracles.remote.batches.record import AnswerRecord
from oracles.usage import NO_USAGE, Metered

Found = Mapping[Piece, Mapping[int, Answers | None]]
"""By piece, the answers to draws; None for an image that is refused."""


@dataclass(frozen=True, slots=True)
class Books:
    """Journal, ledger and record of a run's jobs.

    Args:
        journal: of the jobs.
        ledger: charged.
        record: keeps the answers.
        answered: told (purpose, number) of answers that were recorded.
    """

    journal: Journal
    ledger: Ledger
    record: AnswerRecord
    answered: Callable[[Purpose, int], None]

    def intend(self, pieces: tuple[Piece, ...]) -> Job:
        """Write down a job before it is charged."""
        job = Job(tag=self.journal.next_tag, pieces=pieces)
        return self.journal.put(job, before=_named(self.ledger.spent), change=_named(job.counts()))

    def charge(self, job: Job) -> None:
        """Charge a job.

        Raises:
            BudgetExhausted: it does not fit.
        """
        for number, (purpose, queries) in enumerate(job.counts().items()):
            self.ledger.charge(queries, purpose=purpose, attempts=int(number == 0), by_batch=True)

    def forget(self, job: Job) -> None:
        """Take back the charge of a job that was provably not submitted, and the job."""
        job = self.journal.put(job, stage=Stage.INTENDED)
        spent = self.ledger.spent
        for purpose, queries in job.counts().items():
            if spent[purpose] == job.before[purpose.value] + queries:
                self.ledger.refund(queries, purpose=purpose, by_batch=True)
        self.journal.remove(job)

    def turned_away(self, job: Job) -> None:
        """The same of a job that is charged for certain, while others may have been settled since."""
        spent, counts = self.ledger.spent, job.counts()
        self.forget(replace(job, before={purpose.value: spent[purpose] - counts[purpose] for purpose in counts}))

    def record_answers(
        self, job: Job, found: Found, unpaid: Mapping[Purpose, int], told: Metered = NO_USAGE, **progress: Any
    ) -> None:
        """Write down answers and that they are, in one step; then settle in the ledger what they cost."""
        change = {purpose.value: -number for purpose, number in unpaid.items()}
        with self.journal.store.transaction():
            for piece, answers in found.items():
                self.record.write(piece, answers)
            self.journal.note(**progress)
            job = self.journal.put(
                job,
                stage=Stage.RECORDED,
                before=_named(self.ledger.spent),
                change=change,
                told=told.as_json(),
                told_before=self.ledger.usage.batched.answers,
            )
        self.settle(job)
        for piece, answers in found.items():
            self.answered(piece.purpose, len(answers))

    def settle(self, job: Job) -> None:
        """Settle in the ledger what a recorded job has cost, unless that is done; the job is done then.

        Its answers tell their tokens, and what it did not answer is taken back.
        """
        told = Metered.from_json(job.told)
        if told.batched.answers and self.ledger.usage.batched.answers == job.told_before:
            self.ledger.tell(told)
        spent = self.ledger.spent
        for name, change in job.change.items():
            purpose = Purpose(name)
            if spent[purpose] == job.before[name]:
                self.ledger.refund(-change, purpose=purpose, by_batch=True)
        self.journal.remove(job)


def _named(counts: Mapping[Purpose, int]) -> dict[str, int]:
    return {purpose.value: number for purpose, number in counts.items()}
