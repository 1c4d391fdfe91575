import threading

import pytest

from oracles.errors import OracleChanged, OracleUnavailable
from oracles.remote.circuit_breaker import CircuitBreaker
from tests.builders import pictures
from tests.oracles.remote.clock import Clock
from tests.waiting import LONG


def test_failure_without_a_single_answer_ends_it_after_the_patience() -> None:
    clock = Clock()
    breaker = clock.breaker(patience_seconds=10)
    for _ in range(10):
        breaker.failed(ValueError("no"))
        clock.time += 1
    with pytest.raises(OracleUnavailable, match="nothing was answered for 10 seconds; at last: gone"):
        breaker.failed(ValueError("gone"))
    for step in (breaker.check, lambda: breaker.sleep(1), lambda: breaker.failed(ValueError("again"))):
        with pytest.raises(OracleUnavailable, match="at last: gone"):
            step()


def test_every_answer_gives_patience_anew() -> None:
    clock = Clock()
    breaker = clock.breaker(patience_seconds=10)
    for _ in range(20):
        breaker.failed(ValueError("no"))
        clock.time += 9
        breaker.answered(pictures(1, seed=1))
        clock.time += 100  # nobody asks
    breaker.failed(ValueError("no"))


def test_the_known_good_image_is_the_first_one_that_was_answered() -> None:
    breaker, first = CircuitBreaker(1), pictures(3, seed=1)
    seen = [breaker.known_good]
    for images in (first, pictures(2, seed=2)):
        breaker.answered(images)
        seen.append(breaker.known_good)
    assert seen[0] is None
    for image in seen[1:]:
        assert image is not None
        assert image.equal(first[:1])


def test_whoever_sleeps_wakes_up_when_it_ends() -> None:
    breaker, raised = CircuitBreaker(300), list[BaseException]()

    def sleeper() -> None:
        try:
            breaker.sleep(2 * LONG)
        except OracleUnavailable as error:
            raised.append(error)

    threads = [threading.Thread(target=sleeper) for _ in range(5)]
    for thread in threads:
        thread.start()
    breaker.trip(OracleChanged("another model"))
    breaker.trip(OracleUnavailable("a later reason"))
    for thread in threads:
        thread.join(LONG)
    assert [str(error) for error in raised] == ["another model"] * 5
    assert {type(error) for error in raised} == {OracleChanged}, "they are told what happened, not only that it did"
    assert len(set(map(id, raised))) == 5


def test_it_can_be_reopened() -> None:
    clock = Clock()
    breaker = clock.breaker(patience_seconds=10)
    breaker.failed(ValueError("no"))
    clock.time += 11
    with pytest.raises(OracleUnavailable):
        breaker.failed(ValueError("no"))
    breaker.reset()
    breaker.check()
    breaker.failed(ValueError("no"))
    breaker.sleep(5)
    breaker.trip(OracleUnavailable("why"))
    with pytest.raises(OracleUnavailable, match="why"):
        breaker.check()
