"""Ledger and record under any order of questions, failures, crashes and returns, as Hypothesis finds them."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
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


class Server:
    """Answers draw k, whose pixels are all k, with k mod 3, and keeps the bill."""

    spec: OracleSpec = spec(3, image_shape=SHAPE)

    def __init__(self) -> None:
        self.billed: Counter[int] = Counter()
        self.lost: Counter[int] = Counter()
        self.before: Exception | None = None
        self.after: Exception | None = None

    def query(self, images: Tensor) -> Answers:
        before, after, self.before, self.after = self.before, self.after, None, None
        if before is not None:
            raise before
        draws = images[:, 0, 0, 0].long()
        self.billed.update(draws.tolist())
        if after is not None:
            self.lost.update(draws.tolist())
            raise after
        return Answers(draws % 3)


def pictures(first: int, count: int) -> Tensor:
    """Images of draws."""
    return torch.arange(first, first + count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, *SHAPE).contiguous()


class Runs(RuleBasedStateMachine):
    """One run after the other on the same files; each asks only about what is not on record."""

    @initialize(limit=st.integers(0, 2 * DRAWS))
    def begin(self, limit: int) -> None:
        self.folder, self.limit = Path(tempfile.mkdtemp()), limit
        self.server, self.known = Server(), dict[int, int]()
        self.batches = dict[int, list[int]]()
        self.open()

    def open(self) -> None:
        """What a process does that begins or resumes."""
        self.ledger = Ledger(Budget(queries=self.limit), self.folder / "ledger.json")
        self.store = ResponseStore(self.folder / "responses")
        self.oracle = MeteredOracle(self.server, self.ledger, Purpose.ESTIMATE)
        self.log = VoteLog(self.store, self.server.spec)

    @rule(first=st.integers(0, DRAWS - 1), count=st.integers(1, 4))
    def ask(self, first: int, count: int) -> None:
        """Vote on draws, as an engine does: the first run of those that are missing."""
        window = self.log.read(STREAM, first, count)
        missing = [first + k for k in range(count) if window[k] == UNANSWERED]
        for draw in missing:
            try:
                answers = self.oracle.query(pictures(draw, 1))
            except BudgetExhausted:
                assert self.ledger.total == self.limit
                return
            except Crash:
                self.open()
                return
            except OracleError:
                return
            self.log.write([(STREAM, draw, answers.labels)])
            self.known[draw] = int(answers.labels[0])

    @rule(name=st.integers(0, 3), count=st.integers(1, 3))
    def ask_batch(self, name: int, count: int) -> None:
        """A batch by its name: what was answered is given again, whatever happens meanwhile."""
        count = len(self.batches.get(name, [0] * count))
        spent = self.ledger.total
        try:
            answers = RecordingOracle(self.oracle, self.store).ask(pictures(100 + 10 * name, count), b"%d" % name)
        except Crash:
            self.open()
            return
        except OracleError:
            return
        found = answers.labels.tolist()
        assert self.batches.setdefault(name, found) == found
        assert self.ledger.total in (spent, spent + count)

    @rule(error=st.sampled_from([Crash("killed"), Unanswered("429"), OracleUnavailable("502")]), answered=st.booleans())
    def let_the_next_question_fail(self, error: Exception, answered: bool) -> None:
        """Before the server has computed anything, or after."""
        after = answered and not isinstance(error, Unanswered)
        self.server.before, self.server.after = (None, error) if after else (error, None)

    @rule()
    def resume(self) -> None:
        """A process ends without a word, and another goes on."""
        self.store.close()
        self.open()

    @precondition(lambda self: hasattr(self, "ledger"))
    @rule(more=st.integers(0, 5))
    def resume_with_a_larger_budget(self, more: int) -> None:
        self.limit += more
        self.resume()

    @invariant()
    def nothing_is_spent_beyond_the_budget_and_all_that_was_answered_is_charged(self) -> None:
        if hasattr(self, "ledger"):
            assert self.server.billed.total() <= self.ledger.total <= self.limit
            assert Ledger(Budget(), self.folder / "ledger.json").total == self.ledger.total

    @invariant()
    def what_is_recorded_stays_and_was_charged(self) -> None:
        if hasattr(self, "ledger"):
            votes = self.log.read(STREAM, 0, DRAWS + 4).tolist()
            assert {draw: vote for draw, vote in enumerate(votes) if vote != UNANSWERED} == self.known
            assert self.ledger.total >= len(self.known) + sum(map(len, self.batches.values()))

    @invariant()
    def no_answer_that_arrived_is_paid_for_twice(self) -> None:
        if hasattr(self, "ledger"):
            assert max((self.server.billed - self.server.lost).values(), default=0) <= 1

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.store.close()
            shutil.rmtree(self.folder)


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=15, stateful_step_count=20, derandomize=True, deadline=None, database=None)
