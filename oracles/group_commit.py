"""Group commit: changes that come while the disk is busy go there together, as databases do it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class _Waiting:
    """A thread whose change is not on disk yet.

    Attributes:
        change: its number.
        gate: closed; opened when the change is there, or when it is this thread's turn to write.
    """

    change: int
    gate: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Close the gate."""
        self.gate.acquire()


class GroupCommit:
    """Brings numbered changes to the disk, one write for all that wait.

    One thread writes; when it is done it wakes all those whose changes went along, at once and without a lock that they
    would hand from one to the next, and lets one of the others write.

    Args:
        done: the number of the last change that is there already.
    """

    def __init__(self, *, done: int) -> None:
        """Nobody writes."""
        self._done = done
        self._lock = threading.Lock()  # for what follows
        self._writing = False
        self._waiting: list[_Waiting] = []

    def keep(self, change: int, write: Callable[[], int]) -> None:
        """Return when a change is on disk. Raises what `write` raises, where this thread wrote.

        Args:
            change: its number.
            write: brings all changes made so far to the disk; returns the number of the last one.
        """
        with self._lock:
            if self._done >= change:
                return
            mine = _Waiting(change) if self._writing else None
            if mine is not None:
                self._waiting.append(mine)
            self._writing = True
        if mine is not None:
            self._wait(mine)
            if self._done >= change:
                return
        try:
            self._done = write()  # only the thread that writes changes it
        finally:
            self._pass_on()

    def _wait(self, mine: _Waiting) -> None:
        """Wait at a gate; whoever is interrupted there leaves nobody behind who counts on it."""
        try:
            mine.gate.acquire()
        except BaseException:
            with self._lock:
                waits = mine in self._waiting
                if waits:
                    self._waiting.remove(mine)
            if not waits and self._done < mine.change:  # it was its turn to write
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Wake whoever need not wait any more, and the next one to write."""
        with self._lock:
            there = [each for each in self._waiting if each.change <= self._done]
            left = [each for each in self._waiting if each.change > self._done]
            self._writing = bool(left)
            self._waiting = left[1:]
        for each in (*left[:1], *there):  # the disk first
            each.gate.release()
