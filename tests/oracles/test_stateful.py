"""Ledger and record under any order of questions, failures, crashes and returns, as Hypothesis finds them."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from torch import Tensor

from oracles import (
    Answers,
    Budget,
    BudgetExhausted,
    Ledger,
    MeteredOracle,
    OracleError,
    OracleSpec,
    OracleUnavailable,
    Purpose,
    RecordingOracle,
    ResponseStore,
    Unanswered,
    VoteLog,
)
from oracles.recording import UNANSWERED
from tests.builders import SHAPE, spec

DRAWS = 12
STREAM = bytes(32)


class Crash(Exception):
    """The process is gone at this point."""


FATES = st.sampled_from(
    [
        None,
        None,
        (Crash("between charge and question"), False),
        (Crash("between answer and record"), True),
        (Unanswered("429"), False),
        (OracleUnavailable("reset"), False),
        (OracleUnavailable("502"), True),
    ]
)
"""What becomes of the next question: nothing, or an error before or after the server has computed the answer."""


class Server:
    """Answers draw k, whose pixels are all k, with k mod 3, and keeps the bill."""

    spec: OracleSpec = spec(3, image_shape=SHAPE)

    def __init__(self) -> None:
        self.billed: Counter[int] = Counter()
        self.lost: Counter[int] = Counter()
        self.fate: tuple[Exception, bool] | None = None

    def query(self, images: Tensor) -> Answers:
        draws, fate, self.fate = images[:, 0, 0, 0].long(), self.fate, None
        if fate is None or fate[1]:
            self.billed.update(draws.tolist())
        if fate is not None:
            self.lost.update(draws.tolist() if fate[1] else [])
            raise fate[0]
        return Answers(draws % 3)


def pictures(first: int, count: int) -> Tensor:
    """Images of draws."""
    return torch.arange(first, first + count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, *SHAPE).contiguous()


class Runs(RuleBasedStateMachine):
    """One run after the other on the same files; each asks only about what is not on record."""

    @initialize(limit=st.integers(2, 12))
    def begin(self, limit: int) -> None:
        self.folder, self.limit, self.server = Path(tempfile.mkdtemp()), limit, Server()
        self.votes, self.batches = dict[int, int](), dict[int, list[int]]()
        self.open()

    def open(self) -> None:
        """What a process does that begins or resumes."""
        self.ledger = Ledger(Budget(queries=self.limit), self.folder / "ledger.json")
        self.store = ResponseStore(self.folder / "responses")
        self.oracle = MeteredOracle(self.server, self.ledger, Purpose.ESTIMATE)
        self.log = VoteLog(self.store, self.server.spec)

    @rule(first=st.integers(0, DRAWS - 1), count=st.integers(1, 4), fate=FATES)
    def vote(self, first: int, count: int, fate: tuple[Exception, bool] | None) -> None:
        """Ask about those of some draws that are not on record, all at once, and write them down."""
        recorded = self.log.read(STREAM, first, count)
        missing = [first + k for k in range(count) if recorded[k] == UNANSWERED]
        if not missing:
            return
        answers = self.ask(
            lambda: self.oracle.query(torch.cat([pictures(draw, 1) for draw in missing])), len(missing), fate
        )
        if answers is not None:
            self.log.write([(STREAM, draw, answers.labels[k : k + 1]) for k, draw in enumerate(missing)])
            self.votes |= zip(missing, answers.labels.tolist(), strict=True)

    @rule(name=st.integers(0, 2), count=st.integers(1, 3), fate=FATES)
    def batch(self, name: int, count: int, fate: tuple[Exception, bool] | None) -> None:
        """Ask about a batch by its name, which stands for the same images each time."""
        known = self.batches.get(name)
        images = pictures(100 + 10 * name, count if known is None else len(known))
        spent, recording = self.ledger.total, RecordingOracle(self.oracle, self.store)
        answers = self.ask(lambda: recording.ask(images, b"%d" % name), len(images), fate)
        if answers is not None:
            assert self.batches.setdefault(name, answers.labels.tolist()) == answers.labels.tolist()
            assert self.ledger.total == spent + (len(images) if known is None else 0)
        assert known is None or answers is not None, "what is on record needs no server"

    def ask(self, question: Callable[[], Answers], count: int, fate: tuple[Exception, bool] | None) -> Answers | None:
        """The answers, None where something went wrong; after a crash another process goes on."""
        self.server.fate = fate
        try:
            return question()
        except BudgetExhausted:
            assert self.ledger.total + count > self.limit
        except Crash:
            self.open()
        except OracleError:
            pass
        finally:
            self.server.fate = None
        return None

    @rule(more=st.integers(0, 3), closed=st.booleans())
    def resume(self, more: int, closed: bool) -> None:
        """Another process goes on, perhaps with more money; the one before ended by itself, or did not."""
        if closed:
            self.ledger.save()
            self.store.close()
        self.limit += more
        self.open()

    @invariant()
    def no_budget_is_exceeded_and_each_answer_is_charged(self) -> None:
        assert self.server.billed.total() <= self.ledger.total <= self.limit
        assert Ledger(Budget(), self.folder / "ledger.json").total == self.ledger.total

    @invariant()
    def what_is_recorded_stays_as_it_was_answered(self) -> None:
        found = self.log.read(STREAM, 0, DRAWS + 4).tolist()
        assert {draw: vote for draw, vote in enumerate(found) if vote != UNANSWERED} == self.votes
        assert self.ledger.total >= len(self.votes) + sum(map(len, self.batches.values()))

    @invariant()
    def no_answer_that_arrived_is_paid_for_twice(self) -> None:
        assert max((self.server.billed - self.server.lost).values(), default=0) <= 1

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=40, stateful_step_count=30, derandomize=True, deadline=None, database=None)
