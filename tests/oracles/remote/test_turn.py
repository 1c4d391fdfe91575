from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from oracles.remote.turn import Turn
from tests.waiting import LONG

SOON = 0.1


def test_one_thread_has_it_at_a_time() -> None:
    turn, inside, most = Turn(), 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        for _ in range(50):
            with turn.taken():
                inside += 1
                most = max(most, inside)
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (most, inside) == (1, 0)


def test_who_waits_for_something_else_lets_others_in() -> None:
    turn, came, left = Turn(), threading.Event(), threading.Event()

    def other() -> bool:
        assert came.wait(LONG)
        with turn.taken():
            left.set()
        return True

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(other)
        with turn.taken():
            with turn.given_up():
                came.set()
                assert left.wait(LONG)
            assert not _can_be_had(turn, within=SOON)
        assert future.result(LONG)
    assert _can_be_had(turn)


def test_who_does_not_have_it_gives_nothing_up() -> None:
    turn = Turn()
    with turn.given_up():
        assert _can_be_had(turn)
        with ThreadPoolExecutor(1) as pool, turn.taken():
            assert not pool.submit(_give_up, turn).result(LONG)  # another thread's is not given up
            assert not _can_be_had(turn, within=SOON)


@pytest.mark.parametrize("given_up", [False, True])
def test_an_error_ends_the_turn(given_up: bool) -> None:
    turn = Turn()
    with pytest.raises(KeyError), turn.taken():  # noqa: PT012
        if given_up:
            with turn.given_up():
                raise KeyError
        raise KeyError
    assert _can_be_had(turn)


def _give_up(turn: Turn) -> bool:
    with turn.given_up():
        return _can_be_had(turn, within=SOON)


def _can_be_had(turn: Turn, *, within: float = LONG) -> bool:
    """Whether a thread that has nothing gets it, within so many seconds."""

    def try_it() -> None:
        with turn.taken():
            got.set()

    got = threading.Event()
    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    return got.wait(within)
