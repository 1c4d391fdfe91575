from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from oracles.remote.hand_off_lock import HandOffLock
from tests.waiting import LONG

SOON = 0.1


def test_one_thread_has_it_at_a_time() -> None:
    lock, inside, most = HandOffLock(), 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        for _ in range(50):
            with lock.held():
                inside += 1
                most = max(most, inside)
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (most, inside) == (1, 0)


def test_who_waits_for_something_else_lets_others_in() -> None:
    lock, came, left = HandOffLock(), threading.Event(), threading.Event()

    def other() -> bool:
        assert came.wait(LONG)
        with lock.held():
            left.set()
        return True

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(other)
        with lock.held():
            with lock.released():
                came.set()
                assert left.wait(LONG)
            assert not _can_be_had(lock, within=SOON)
        assert future.result(LONG)
    assert _can_be_had(lock)


def test_who_does_not_have_it_gives_nothing_up() -> None:
    lock = HandOffLock()
    with lock.released():
        assert _can_be_had(lock)
        with ThreadPoolExecutor(1) as pool, lock.held():
            assert not pool.submit(_give_up, lock).result(LONG)  # another thread's is not given up
            assert not _can_be_had(lock, within=SOON)


@pytest.mark.parametrize("released", [False, True])
def test_an_error_releases_the_lock(released: bool) -> None:
    lock = HandOffLock()
    with pytest.raises(KeyError), lock.held():  # noqa: PT012
        if released:
            with lock.released():
                raise KeyError
        raise KeyError
    assert _can_be_had(lock)


def _give_up(lock: HandOffLock) -> bool:
    with lock.released():
        return _can_be_had(lock, within=SOON)


def _can_be_had(lock: HandOffLock, *, within: float = LONG) -> bool:
    """Whether a thread that has nothing gets it, within so many seconds."""

    def try_it() -> None:
        with lock.held():
            got.set()

    got = threading.Event()
    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    return got.wait(within)
