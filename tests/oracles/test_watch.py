"""Canaries while votes come in: what stays, what is taken back, and who waits for whom."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from oracles import (
    Answers,
    Classes,
    Feedback,
    Oracle,
    OracleChanged,
    OracleSpec,
    OracleUnavailable,
    ResponseStore,
    VoteLog,
)
from oracles.recording import UNANSWERED
from oracles.undo_log import UndoLogStore
from oracles.watch import CanaryWatch, NoWatch
from tests.waiting import LONG

CANARIES = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1) * 60
SPEC = OracleSpec(
    name="test",
    fingerprint="00",
    classes=Classes.numbered(5),
    image_shape=None,
    feedback=Feedback.LABELS,
)
START = 4 * len(CANARIES)
STREAM = b"stream" * 5 + b".."


@dataclass
class Model:
    """Answers every image with one label, and canaries with another that tells which model it is."""

    label: int = 0
    asked: int = 0
    spec: OracleSpec = SPEC
    before: Callable[[], None] = lambda: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def query(self, images: Tensor) -> Answers:
        self.before()
        with self.lock:
            self.asked += len(images)
        return Answers(torch.full((len(images),), self.label))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """A run on a folder."""

    folder: Path
    canaries: Model = field(default_factory=Model)
    votes: Model = field(default_factory=Model)
    clock: Clock = field(default_factory=Clock)
    passed: int = 0

    def open(self, **settings: Any) -> CanaryWatch:
        def tell(_: object) -> None:
            self.passed += 1

        given: dict[str, Any] = {"every_queries": 10, "every_seconds": 60.0, "clock": self.clock, "tell": tell}
        self.store = ResponseStore(self.folder)
        return CanaryWatch(self.canaries, CANARIES, UndoLogStore(self.store), **given | settings)

    def change(self, label: int) -> None:
        self.canaries.label = self.votes.label = label


def vote(watch: CanaryWatch, oracle: Oracle, first: int, count: int = 1) -> None:
    """Ask about some draws and record the votes, as a source of votes does."""
    labels = watch.guard(oracle).query(torch.zeros(count, 1, 1, 1)).labels
    VoteLog(watch.store, SPEC).write([(STREAM, first, labels)])


def recorded(world: World, count: int) -> list[int]:
    return list(VoteLog(world.store, SPEC).read(STREAM, 0, count).tolist())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "responses")


def test_the_start_asks_once_and_a_resumed_run_compares_with_it(world: World) -> None:
    world.open()
    assert (world.canaries.asked, world.passed) == (START, 1)
    world.canaries.label = 1
    watch = world.open()
    assert world.canaries.asked == START  # nothing is asked before there is a question
    with pytest.raises(OracleChanged, match="4 of 4 canary images are not answered as when the run began"):
        vote(watch, world.votes, 0)
    assert world.canaries.asked == START + 4
    assert world.votes.asked == 0


def test_a_resumed_run_without_a_question_asks_nothing(world: World) -> None:
    world.open()
    world.open().finish()
    assert world.canaries.asked == START


@pytest.mark.parametrize(("queries", "checks"), [(9, 0), (10, 0), (11, 1), (25, 2)])
def test_checks_come_after_so_many_queries(world: World, queries: int, checks: int) -> None:
    watch = world.open()
    for first in range(queries):
        vote(watch, world.votes, first)
    assert world.passed == 1 + checks
    assert world.canaries.asked == START + checks * 4


def test_checks_come_after_so_much_time_if_enough_was_asked(world: World) -> None:
    watch = world.open(every_queries=20)
    world.clock.now += 1000
    vote(watch, world.votes, 0)
    vote(watch, world.votes, 1)
    assert world.passed == 1
    vote(watch, world.votes, 2)
    assert world.passed == 2
    world.clock.now += 59
    vote(watch, world.votes, 3)
    vote(watch, world.votes, 4)
    vote(watch, world.votes, 5)
    assert world.passed == 2


def test_votes_between_two_passed_checks_stay_and_later_ones_are_taken_back(world: World) -> None:
    watch = world.open()
    for first in range(11):  # a check before the eleventh
        vote(watch, world.votes, first)
    assert watch.committed == 10
    world.change(1)
    for first in range(11, 20):
        vote(watch, world.votes, first)
    with pytest.raises(OracleChanged):
        vote(watch, world.votes, 20)
    assert recorded(world, 21) == [0] * 10 + [UNANSWERED] * 11
    asked = world.votes.asked
    with pytest.raises(OracleChanged):
        vote(watch, world.votes, 20)
    assert world.votes.asked == asked  # nothing more is sent


def test_the_last_check_settles_or_takes_back(world: World) -> None:
    watch = world.open()
    vote(watch, world.votes, 0)
    watch.finish()
    assert watch.committed == watch.written == 1
    asked = world.canaries.asked
    watch.finish()
    assert world.canaries.asked == asked  # nothing is on probation
    vote(watch, world.votes, 1)
    world.change(1)
    with pytest.raises(OracleChanged):
        watch.finish()
    assert recorded(world, 2) == [0, UNANSWERED]


@pytest.mark.parametrize("back", [True, False])
def test_after_a_crash_the_next_process_decides(world: World, back: bool) -> None:
    watch = world.open()
    vote(watch, world.votes, 0)
    world.change(0 if back else 1)
    if back:
        watch = world.open()
        assert watch.committed == watch.written == 1
        assert recorded(world, 1) == [0]
    else:
        with pytest.raises(OracleChanged):
            world.open()
        assert recorded(world, 1) == [UNANSWERED]
    assert world.canaries.asked == START + 4


def test_an_oracle_that_cannot_be_asked_leaves_everything_undecided(world: World) -> None:
    watch = world.open()
    vote(watch, world.votes, 0)

    def away() -> None:
        raise OracleUnavailable("no route")

    world.canaries.before = away
    with pytest.raises(OracleUnavailable, match="no route"):
        watch.finish()
    assert (watch.committed, watch.written) == (0, 1)
    world.canaries.before = lambda: None
    assert world.open().committed == 1


def test_an_answer_that_arrives_during_a_check_is_not_settled_by_it(world: World) -> None:
    watch = world.open()
    vote(watch, world.votes, 0)
    world.canaries.before = lambda: vote(watch, world.votes, 1)
    watch.finish()
    assert (watch.committed, watch.written) == (1, 2)


def test_others_go_on_while_a_check_is_under_way(world: World) -> None:
    watch = world.open()
    vote(watch, world.votes, 0, count=10)
    entered, leave = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert leave.wait(LONG)

    world.canaries.before = wait
    with ThreadPoolExecutor(1) as pool:
        checking = pool.submit(vote, watch, world.votes, 10)
        assert entered.wait(LONG)
        vote(watch, world.votes, 11)  # neither waits nor checks
        leave.set()
        checking.result()
    assert recorded(world, 12) == [0] * 12
    assert watch.committed == 1  # rows: the first batch


def test_in_a_resumed_process_all_wait_for_the_first_check(world: World) -> None:
    world.open()
    watch, entered, leave = world.open(), threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert leave.wait(LONG)

    world.canaries.before = wait
    with ThreadPoolExecutor(3) as pool:
        votes = [pool.submit(vote, watch, world.votes, first) for first in range(3)]
        assert entered.wait(LONG)
        assert world.votes.asked == 0
        leave.set()
        for each in votes:
            each.result()
    assert world.canaries.asked == START + 4
    assert world.votes.asked == 3


def test_votes_under_way_when_a_check_fails_are_not_recorded(world: World) -> None:
    watch = world.open()
    vote(watch, world.votes, 0, count=10)
    sent, failed = threading.Event(), threading.Event()
    slow = Model(label=1)

    def wait() -> None:
        sent.set()
        assert failed.wait(LONG)

    slow.before = wait
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(lambda: vote_unguarded(watch, slow, 10))
        assert sent.wait(LONG)
        world.change(1)
        with pytest.raises(OracleChanged):
            vote(watch, world.votes, 11)
        failed.set()
        with pytest.raises(OracleChanged):
            late.result()
    assert recorded(world, 12) == [UNANSWERED] * 12


def test_what_is_counted_after_a_failed_check_is_never_settled(world: World) -> None:
    watch = world.open()
    vote(watch, world.votes, 0)
    held = watch.written
    world.change(1)
    with pytest.raises(OracleChanged):
        watch.finish()
    assert held > watch.committed
    assert watch.written > watch.committed  # a verdict that is reached now rests on votes that were taken back


def vote_unguarded(watch: CanaryWatch, oracle: Oracle, first: int) -> None:
    """A vote that passed the guard before a check failed."""
    labels = oracle.query(torch.zeros(1, 1, 1, 1)).labels
    VoteLog(watch.store, SPEC).write([(STREAM, first, labels)])


@pytest.mark.parametrize("budget", [0, 12, 100, 203])
@pytest.mark.parametrize("every", [10, 100])
def test_a_budget_suffices_for_the_last_check_however_slow_the_oracle(world: World, budget: int, every: int) -> None:
    world.open()
    world.canaries.asked = 0

    def remaining() -> int:
        return budget - world.votes.asked - world.canaries.asked

    watch = world.open(every_queries=every, remaining=remaining)
    while watch.spare(remaining()):
        world.clock.now += 1000
        vote(watch, world.votes, world.votes.asked)
    watch.finish()
    assert watch.committed == watch.written
    assert 0 <= remaining() <= max(12, budget // 20)


def test_without_a_limit_nothing_is_set_aside(world: World) -> None:
    assert world.open().spare(None) is None


def test_without_canaries_everything_stays(world: World) -> None:
    watch = NoWatch(ResponseStore(world.folder))
    assert (watch.written, watch.committed) == (0, 0)
    assert watch.guard(world.votes) is world.votes
    assert watch.spare(7) == 7
    watch.finish()
