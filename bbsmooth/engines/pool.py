"""Workers that answer, of which any may be lost at any moment."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from bbsmooth.engines.told import Told
from bbsmooth.errors import UsageError
from bbsmooth.progress.meter import say
from oracles import OracleUnavailable
from oracles.errors import AnswerLost, Unanswered

_STILLBORN = 3
"""So many workers in a row that are lost before they can answer anything end a run."""

_SECONDS_BEFORE_WORD = 60.0


class WorkerDied(Exception):
    """A worker is gone, with whatever it was asked. The text says which one."""


class WorkerLost(AnswerLost):
    """The worker that was asked is gone. Nobody knows whether it had an answer, so the question stays charged."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a worker says of itself: which oracle it has opened, and where it is, for people."""

    fingerprint: str
    place: str


class Worker(Protocol):
    """Somebody elsewhere who answers. Each method raises `WorkerDied` once it is gone."""

    def introduction(self, unwanted: Callable[[], bool]) -> Introduction:
        """Wait until it is ready; raise `WorkerDied` soon after it is `unwanted`.

        Raises:
            OracleError: it cannot open the oracle.
        """
        ...

    def answer(self, images: Tensor, voting: bool) -> Told:
        """Ask about images (B, C, H, W): the smoothed classifier for its labels if `voting`, else the bare oracle."""
        ...

    def interrupt(self) -> None:
        """Let what waits give up; returns at once."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Seat:
    """The right to ask a worker about one batch."""

    worker: Worker
    place: str


class WorkerPool:
    """Hands questions to workers that are free, and starts a worker in the place of each that is lost.

    Args:
        start: starts a worker and returns at once.
        workers: how many.
        seats: questions that each is given at a time.
        fingerprint: of the oracle that all of them must have opened.
    """

    def __init__(self, start: Callable[[], Worker], *, workers: int, seats: int, fingerprint: str) -> None:
        """Nothing is started yet."""
        self._start, self._workers, self._seats, self._fingerprint = start, workers, seats, fingerprint
        self._changed = threading.Condition()  # for what follows
        self._free: deque[_Seat] = deque()
        self._alive: list[Worker] = []
        self._stillborn = 0
        self._end: Exception | None = None
        self._starting: list[threading.Thread] = []

    def open(self) -> None:
        """Start all workers, and wait for the first one.

        Raises:
            UsageError: one has opened another oracle than the one that was described.
            OracleError: one cannot open the oracle.
        """
        for _ in range(self._workers):
            self._bring()
        with self._changed:
            if not self._changed.wait_for(lambda: self._free or self._end, _SECONDS_BEFORE_WORD):
                say(f"still waiting for the first of {self._workers} workers: there may be no room for it")
                self._changed.wait_for(lambda: self._free or self._end)
            self._check()

    @property
    def ready(self) -> int:
        """Workers that can be asked now."""
        with self._changed:
            return len(self._alive)

    def ask(self, images: Tensor, *, voting: bool) -> Told:
        """What a worker says about images, see `Worker.answer`; waits until one is free.

        Raises:
            WorkerLost: it died.
            Unanswered: nobody was asked, since asking has ended.
        """
        seat = self._take()
        try:
            told = seat.worker.answer(images, voting)
        except WorkerDied as error:
            self._lose(seat)
            raise WorkerLost(f"{error}, with {len(images)} images under way; they stay charged") from error
        except BaseException:
            self._give_back(seat)
            raise
        self._give_back(seat)
        return told

    def interrupt(self) -> None:
        """Let nobody ask any more, and what waits give up."""
        self._stop(Unanswered("nothing more is asked: interrupted"))
        with self._changed:
            alive = list(self._alive)
        for worker in alive:
            worker.interrupt()

    def close(self) -> None:
        """Start no worker any more, and give up those that are being started: afterwards no thread uses the cluster."""
        self._stop(Unanswered("nothing more is asked: the workers were dismissed"))
        with self._changed:
            starting = list(self._starting)  # a thread that is not in it yet will find that it is over
        for thread in starting:
            thread.join()

    def _check(self) -> None:
        if self._end is not None:
            raise copy(self._end)  # each thread needs one of its own

    def _take(self) -> _Seat:
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._end)
            self._check()
            return self._free.popleft()

    def _give_back(self, seat: _Seat) -> None:
        with self._changed:
            if seat.worker in self._alive:
                self._free.append(seat)
                self._changed.notify()

    def _lose(self, seat: _Seat) -> None:
        """Strike a worker off the list, and bring another; whoever holds another seat of it comes too late."""
        with self._changed:
            if seat.worker not in self._alive:
                return
            self._alive.remove(seat.worker)
            self._free = deque(other for other in self._free if other.worker is not seat.worker)
        say(f"{seat.place} was lost; another takes over")
        self._bring()

    def _bring(self) -> None:
        thread = threading.Thread(target=self._introduce, name="worker", daemon=True)
        with self._changed:
            if self._end is not None:
                return
            thread.start()
            self._starting.append(thread)

    def _introduce(self) -> None:
        """Start a worker, and let it be asked once it is ready."""
        try:
            worker = self._start()
            introduction = worker.introduction(lambda: self._end is not None)
        except WorkerDied as error:
            self._again(error)
        except Exception as error:
            self._stop(error)
        else:
            self._welcome(worker, introduction)

    def _again(self, error: WorkerDied) -> None:
        with self._changed:
            self._stillborn += 1
            hopeless = self._stillborn >= _STILLBORN
        if hopeless:
            self._stop(OracleUnavailable(f"{_STILLBORN} workers in a row were lost as they started; at last: {error}"))
        elif self._end is None:
            self._bring()

    def _welcome(self, worker: Worker, introduction: Introduction) -> None:
        if introduction.fingerprint != self._fingerprint:
            self._stop(
                UsageError(
                    f"{introduction.place} has opened another oracle than this process; put the same files and versions"
                    " on every node"
                )
            )
            return
        with self._changed:
            self._stillborn = 0
            self._alive.append(worker)
            self._free.extend(_Seat(worker, introduction.place) for _ in range(self._seats))
            self._changed.notify_all()

    def _stop(self, error: Exception) -> None:
        """Let nobody ask any more; the first reason stays."""
        with self._changed:
            self._end = self._end or error
            self._changed.notify_all()
