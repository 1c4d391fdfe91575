from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from oracles.group_commit import GroupCommit, _Waiting
from tests.waiting import LONG, until


class Disk:
    """Writes whatever was counted when a write begins, and says when it may end."""

    def __init__(self) -> None:
        self.counted, self.done, self.writes, self.at_once, self.most = 0, 0, 0, 0, 0
        self.lock, self.ready = threading.Lock(), threading.Event()
        self.broken = False
        self.ready.set()

    def count(self) -> int:
        with self.lock:
            self.counted += 1
            return self.counted

    def write(self) -> int:
        with self.lock:
            self.writes, self.at_once = self.writes + 1, self.at_once + 1
            self.most, counted = max(self.most, self.at_once), self.counted
        assert self.ready.wait(LONG)
        with self.lock:
            self.at_once -= 1
            if self.broken:
                raise OSError("full")
            self.done = counted
        return counted


def test_whoever_returns_is_on_disk_and_one_writes_at_a_time() -> None:
    disk, commit = Disk(), GroupCommit(done=0)

    def work(_: int) -> None:
        for _ in range(50):
            change = disk.count()
            commit.keep(change, disk.write)
            assert disk.done >= change

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (disk.done, disk.most) == (400, 1)


def test_changes_that_come_while_the_disk_is_busy_go_there_together() -> None:
    disk, commit = Disk(), GroupCommit(done=0)
    disk.ready.clear()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(commit.keep, disk.count(), disk.write)
        until(lambda: disk.at_once == 1)
        others = [pool.submit(commit.keep, disk.count(), disk.write) for _ in range(8)]
        until(lambda: len(commit._waiting) == 8)
        disk.ready.set()
        for each in (first, *others):
            each.result(LONG)
    assert (disk.writes, disk.done) == (2, 9)


def test_a_change_that_another_one_took_along_needs_no_write() -> None:
    disk, commit = Disk(), GroupCommit(done=0)
    early, late = disk.count(), disk.count()
    commit.keep(late, disk.write)
    commit.keep(early, disk.write)
    assert disk.writes == 1


def test_where_the_disk_refuses_each_one_is_told() -> None:
    disk, commit = Disk(), GroupCommit(done=0)
    disk.ready.clear()
    disk.broken = True
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(commit.keep, disk.count(), disk.write) for _ in range(5)]
        until(lambda: len(commit._waiting) == 4)
        disk.ready.set()
        for future in futures:
            with pytest.raises(OSError, match="full"):
                future.result(LONG)
    disk.broken = False
    commit.keep(disk.count(), disk.write)
    assert disk.done == 6


class Interrupted:
    """A gate at which whoever waits is interrupted as soon as it opens."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.waited = False

    def acquire(self) -> bool:
        if not self.waited:  # to close it
            self.waited = True
            return True
        assert self.opened.wait(LONG)
        raise KeyboardInterrupt

    def release(self) -> None:
        self.opened.set()


def test_an_interrupt_of_whoever_would_write_next_stops_nobody_else() -> None:
    disk, commit = Disk(), GroupCommit(done=0)
    disk.ready.clear()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(commit.keep, disk.count(), disk.write)
        until(lambda: disk.at_once == 1)
        waiting = _Waiting(disk.count(), cast(Any, Interrupted()))
        commit._waiting.append(waiting)
        second = pool.submit(commit._wait, waiting)
        third = pool.submit(commit.keep, disk.count(), disk.write)
        until(lambda: len(commit._waiting) == 2)
        disk.ready.set()
        first.result(LONG)
        with pytest.raises(KeyboardInterrupt):
            second.result(LONG)
        third.result(LONG)
    assert disk.done == 3
