import threading

import pytest

from oracles.errors import OracleChanged, OracleUnavailable
from oracles.remote.line import Line
from tests.builders import pictures
from tests.oracles.remote.clock import Clock
from tests.waiting import LONG


def test_failure_without_a_single_answer_ends_it_after_the_patience() -> None:
    clock = Clock()
    line = clock.line(patience_seconds=10)
    for _ in range(11):
        line.failed(ValueError("no"))
        clock.time += 1
    with pytest.raises(OracleUnavailable, match="nothing was answered for 11 seconds; at last: gone"):
        line.failed(ValueError("gone"))
    for step in (line.check, lambda: line.sleep(1), lambda: line.failed(ValueError("again"))):
        with pytest.raises(OracleUnavailable, match="at last: gone"):
            step()


def test_every_answer_gives_patience_anew() -> None:
    clock = Clock()
    line = clock.line(patience_seconds=10)
    for _ in range(20):
        line.failed(ValueError("no"))
        clock.time += 9
        line.answered(pictures(1, seed=1))
        clock.time += 100  # nobody asks
    line.failed(ValueError("no"))


def test_the_canary_is_the_first_image_that_was_answered() -> None:
    line, first = Line(1), pictures(3, seed=1)
    seen = [line.canary]
    for images in (first, pictures(2, seed=2)):
        line.answered(images)
        seen.append(line.canary)
    assert seen[0] is None
    for canary in seen[1:]:
        assert canary is not None
        assert canary.equal(first[:1])


def test_whoever_sleeps_wakes_up_when_it_ends() -> None:
    line, raised = Line(300), list[BaseException]()

    def sleeper() -> None:
        try:
            line.sleep(2 * LONG)
        except OracleUnavailable as error:
            raised.append(error)

    threads = [threading.Thread(target=sleeper) for _ in range(5)]
    for thread in threads:
        thread.start()
    line.end(OracleChanged("another model"))
    line.end(OracleUnavailable("a later reason"))
    for thread in threads:
        thread.join(LONG)
    assert [str(error) for error in raised] == ["another model"] * 5
    assert {type(error) for error in raised} == {OracleChanged}, "they are told what happened, not only that it did"
    assert len(set(map(id, raised))) == 5


def test_it_can_be_reopened() -> None:
    clock = Clock()
    line = clock.line(patience_seconds=10)
    line.failed(ValueError("no"))
    clock.time += 11
    with pytest.raises(OracleUnavailable):
        line.failed(ValueError("no"))
    line.reopen()
    line.check()
    line.failed(ValueError("no"))
    line.sleep(5)
    line.end(OracleUnavailable("why"))
    with pytest.raises(OracleUnavailable, match="why"):
        line.check()
