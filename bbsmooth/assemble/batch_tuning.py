"""Questions of a tuning through a vendor's batch interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from bbsmooth.assemble.accounts import Account
from bbsmooth.assemble.batching import Composer, batch_client
from bbsmooth.runs.directory import RunDirectory
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.tuning.executor import Ask, Question
from oracles import Answers, Oracle, Purpose, RecordingOracle
from oracles.recording import AnswerLog
from oracles.remote.batches.client import BatchClient
from oracles.remote.batches.journal import Piece
from oracles.remote.batches.record import BatchRecord
from oracles.remote.messages import Request
from oracles.watch import DriftWatch


def batch_executor(
    run: RunDirectory,
    oracle: Oracle,
    kept: Account,
    recorder: RecordingOracle,
    log: AnswerLog,
    watch: DriftWatch,
    batch: BatchConfig,
) -> BatchExecutor:
    """An executor that asks by jobs, after the jobs of earlier processes have come to their ends.

    Args:
        run: keeps the tag of its jobs.
        oracle: the bare one.
        kept: the account of the run.
        recorder: is asked, and finds all answers on record.
        log: of the recorder, where jobs leave their answers.
        watch: sees to it that the oracle stays the same.
        batch: the settings.

    Raises:
        UsageError: the oracle has no batch interface.
        OracleError: see `BatchClient.drain`.
    """
    client, composer = batch_client(run, oracle, kept, BatchRecord(log), batch)
    client.drain()
    return BatchExecutor(client, recorder, log, composer, watch.guard(composer))


@dataclass(frozen=True, slots=True)
class BatchExecutor:
    """A `QueryExecutor` that asks all questions that it is given together, in as many jobs as it takes.

    Args:
        client: submits jobs, and waits for them.
        recorder: gives answers by name.
        log: of the recorder, where jobs leave their answers.
        composer: makes the requests.
        guarded: the composer, asked only while the oracle is the same.
    """

    client: BatchClient
    recorder: RecordingOracle
    log: AnswerLog
    composer: Composer
    guarded: Oracle

    def __call__(self, ask: Ask, questions: Iterable[Question]) -> Iterator[Answers]:
        """See `QueryExecutor`; `ask` is that of the recorder.

        Raises:
            ImageRefused: the vendor answers others, but not one of the images.
            BudgetExhausted: they do not fit.
            OracleError: see `BatchClient.ask`.
        """
        if ask != self.recorder.ask:
            raise TypeError(f"questions that jobs answer are asked of the run's recorder, got {ask!r}")
        sizes, held = list[tuple[bytes, int]](), dict[bytes, list[Request]]()
        for images, name in questions:
            sizes.append((name, len(images)))
            if self.recorder.recorded(name, len(images)) is None:
                held[name] = self._composed(images)
        self._ask(held)
        for name, size in sizes:
            answers = self.recorder.recorded(name, size)
            if answers is None:
                raise AssertionError("a round of questions ends when all of them are answered")
            yield answers

    def _ask(self, held: Mapping[bytes, list[Request]]) -> None:
        """Ask about whatever has no answer yet, until there is one to everything."""
        look = True
        while wanted := [piece for name, requests in held.items() for piece in self._missing(name, len(requests))]:
            self.client.ask(wanted, partial(_requests, held), look=look)
            look = False

    def _missing(self, name: bytes, size: int) -> Iterator[Piece]:
        for number in self.log.missing(name, size):
            yield Piece(purpose=Purpose.TUNE, stream=name, first=number, count=1)

    def _composed(self, images: Tensor) -> list[Request]:
        self.guarded.query(images)
        return self.composer.taken()


def _requests(held: Mapping[bytes, list[Request]], piece: Piece) -> list[Request]:
    return held[piece.stream][piece.first : piece.first + piece.count]
