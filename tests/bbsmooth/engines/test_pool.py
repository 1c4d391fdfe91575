import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from bbsmooth.engines.pool import Handshake, Worker, WorkerDied, WorkerLost, WorkerPool
from bbsmooth.engines.pooled import MOST_LOST, FailoverOracle, PooledOracle
from bbsmooth.engines.replies import WorkerReply
from bbsmooth.errors import UsageError
from oracles import Budget, Ledger, MeteredOracle, OracleError, OracleUnavailable, Purpose, SpecError, Unanswered
from tests.builders import halfspace, pictures
from tests.waiting import LONG, until

IMAGES = pictures(6, seed=1)
HOME = halfspace()


@dataclass
class Fake:
    """A worker in this process.

    Args:
        dies: whether it dies over a question, by its number.
        gate: a question waits for it.
    """

    number: int
    dies: Callable[[int], bool] = lambda question: False
    gate: threading.Event | None = None
    opens: OracleError | str | None = None
    given_up: bool = False
    asked: int = 0
    together: int = 0
    most: int = 0
    interrupted: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handshake(self, unwanted: Callable[[], bool]) -> Handshake:
        if self.opens == "never":
            until(unwanted)
            self.given_up = True
            raise WorkerDied(f"worker {self.number} was given up")
        if self.opens == "dies":
            raise WorkerDied(f"worker {self.number} died")
        if isinstance(self.opens, OracleError):
            raise self.opens
        return Handshake(self.opens or HOME.spec.fingerprint, f"worker {self.number}")

    def answer(self, images: Tensor, voting: bool) -> WorkerReply:
        with self._lock:
            self.asked += 1
            self.together += 1
            self.most = max(self.most, self.together)
            dies = self.dies(self.asked)
        if self.gate is not None:
            self.gate.wait(LONG)
        with self._lock:
            self.together -= 1
        if dies:
            raise WorkerDied(f"worker {self.number} died")
        return WorkerReply.answered(HOME.query(images), HOME.spec, scores=not voting)

    def interrupt(self) -> None:
        self.interrupted.set()


@contextmanager
def pool(make: Callable[[int], Fake], *, workers: int = 2, slots: int = 2) -> Iterator[tuple[WorkerPool, list[Fake]]]:
    made: list[Fake] = []
    lock = threading.Lock()

    def start() -> Worker:
        with lock:
            made.append(make(len(made)))
            return made[-1]

    opened = WorkerPool(start, workers=workers, slots=slots, fingerprint=HOME.spec.fingerprint)
    try:
        opened.open()
        yield opened, made
    finally:
        opened.close()


def test_every_question_is_answered_and_no_worker_has_more_than_its_seats() -> None:
    with pool(Fake, workers=3, slots=2) as (opened, made), ThreadPoolExecutor(12) as threads:
        oracle = PooledOracle(opened, HOME, HOME.spec)
        answers = list(threads.map(oracle.query, [IMAGES[:count] for count in (1, 2, 3, 4, 5, 6) * 10]))
    assert [len(each) for each in answers] == [1, 2, 3, 4, 5, 6] * 10
    assert all(torch.equal(each.labels, HOME.query(IMAGES).labels[: len(each)]) for each in answers)
    assert max(worker.most for worker in made) <= 2


def test_a_lost_worker_is_replaced_and_its_question_stays_charged() -> None:
    with pool(lambda number: Fake(number, dies=lambda question: number == 0 and question == 1), workers=1) as (
        opened,
        made,
    ):
        ledger = Ledger(Budget())
        asked = FailoverOracle(MeteredOracle(PooledOracle(opened, HOME, HOME.spec), ledger, Purpose.TUNE))
        answers = asked.query(IMAGES)
    assert torch.equal(answers.labels, HOME.query(IMAGES).labels)
    assert [worker.asked for worker in made] == [1, 1]
    assert ledger.total == 2 * len(IMAGES)


def test_a_question_that_loses_every_worker_is_given_up() -> None:
    with pool(lambda number: Fake(number, dies=lambda question: True), workers=2) as (opened, made):
        with pytest.raises(WorkerLost, match="6 images under way"):
            FailoverOracle(PooledOracle(opened, HOME, HOME.spec)).query(IMAGES)
        assert sum(worker.asked for worker in made) == MOST_LOST


def test_all_that_a_lost_worker_was_asked_is_lost_once() -> None:
    gate = threading.Event()
    with (
        pool(
            lambda number: Fake(number, dies=lambda question: number == 0, gate=gate if number == 0 else None),
            workers=1,
            slots=3,
        ) as (opened, made),
        ThreadPoolExecutor(3) as threads,
    ):
        ledger = Ledger(Budget())
        asked = FailoverOracle(MeteredOracle(PooledOracle(opened, HOME, HOME.spec), ledger, Purpose.TUNE))
        under_way = [threads.submit(asked.query, IMAGES[:2]) for _ in range(3)]
        until(lambda: made[0].asked == 3)
        gate.set()
        assert all(len(each.result()) == 2 for each in under_way)
        assert len(made) == 2  # one replacement, however many questions it was lost with
    assert ledger.total == 12


def test_workers_that_are_still_starting_at_the_end_are_given_up_before_the_cluster_goes() -> None:
    with pool(lambda number: Fake(number, opens="never" if number else None), workers=2) as (opened, made):
        assert len(PooledOracle(opened, HOME, HOME.spec).query(IMAGES)) == 6
        until(lambda: len(made) == 2)
    assert made[1].given_up


def test_workers_that_are_lost_as_they_start_end_it() -> None:
    with pytest.raises(OracleUnavailable, match="3 workers in a row"), pool(lambda number: Fake(number, opens="dies")):
        pass


def test_one_that_starts_makes_up_for_others_that_do_not() -> None:
    with pool(lambda number: Fake(number, opens="dies" if number < 2 else None), workers=1) as (opened, made):
        assert len(PooledOracle(opened, HOME, HOME.spec).query(IMAGES)) == 6
        assert len(made) == 3


def test_why_a_worker_cannot_open_the_oracle_is_said() -> None:
    with (
        pytest.raises(SpecError, match="no such file"),
        pool(lambda number: Fake(number, opens=SpecError("no such file"))),
    ):
        pass


def test_a_worker_with_another_oracle_is_refused() -> None:
    with pytest.raises(UsageError, match="another oracle"), pool(lambda number: Fake(number, opens="00ff")):
        pass


def test_what_waits_for_a_worker_gives_up_at_an_interrupt_and_is_not_charged() -> None:
    gate = threading.Event()
    with pool(lambda number: Fake(number, gate=gate), workers=1, slots=1) as (opened, made):
        ledger = Ledger(Budget())
        asked = FailoverOracle(MeteredOracle(PooledOracle(opened, HOME, HOME.spec), ledger, Purpose.TUNE))
        with ThreadPoolExecutor(2) as threads:
            both = [threads.submit(asked.query, IMAGES) for _ in range(2)]
            until(lambda: ledger.total == 12 and made[0].asked)  # one is under way, and the other waits or will
            opened.interrupt()
            assert made[0].interrupted.wait(LONG)
            gate.set()
            failures = [each.exception() for each in both]
    assert [type(each) for each in failures if each is not None] == [Unanswered]
    assert ledger.total == 6  # the one that was under way


def test_votes_come_without_scores() -> None:
    with pool(Fake) as (opened, _):
        oracle = PooledOracle(opened, HOME, HOME.spec)
        assert oracle.query(IMAGES).scores is not None
        voter = oracle.voter(HOME)
        assert voter.query(IMAGES).scores is None
        assert voter.spec.fingerprint == HOME.spec.fingerprint
