"""Workers that answer, of which any may be lost at any moment."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from bbsmooth.engines.replies import WorkerReply
from bbsmooth.errors import UsageError
from oracles import OracleUnavailable
from oracles.errors import AnswerLost, Unanswered

_log = logging.getLogger(__name__)

_MOST_FAILED_STARTS = 3
"""Workers in a row that end a run if they are lost before they can answer anything."""

_SECONDS_BEFORE_WORD = 60.0


class WorkerDied(Exception):
    """A worker is gone, with whatever it was asked. The text says which one."""


class WorkerLost(AnswerLost):
    """The worker that was asked is gone. Nobody knows whether it had an answer, so the question stays charged."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """A worker's first words: the oracle that it has opened, and where it is, for people."""

    fingerprint: str
    place: str


class Worker(Protocol):
    """Somebody elsewhere who answers. Each method raises `WorkerDied` once it is gone."""

    def handshake(self, unwanted: Callable[[], bool]) -> Handshake:
        """Wait until it is ready; raise `WorkerDied` soon after it is `unwanted`.

        Raises:
            OracleError: it cannot open the oracle.
        """
        ...

    def answer(self, images: Tensor, voting: bool) -> WorkerReply:
        """Ask about images (B, C, H, W): the smoothed classifier for its labels if `voting`, else the bare oracle."""
        ...

    def interrupt(self) -> None:
        """Let what waits give up; returns at once."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Slot:
    """The right to ask a worker about one batch."""

    worker: Worker
    place: str


class WorkerPool:
    """Hands questions to workers that are free, and starts a new worker for each that is lost.

    Args:
        start: starts a worker and returns at once.
        workers: how many.
        slots: questions that each is given at a time.
        fingerprint: of the oracle that all of them must have opened.
    """

    def __init__(self, start: Callable[[], Worker], *, workers: int, slots: int, fingerprint: str) -> None:
        """Nothing is started yet."""
        self._start, self._workers, self._slots, self._fingerprint = start, workers, slots, fingerprint
        self._changed = threading.Condition()  # for what follows
        self._free: deque[_Slot] = deque()
        self._alive: list[Worker] = []
        self._failed_starts = 0
        self._end: Exception | None = None
        self._starting: list[threading.Thread] = []

    def open(self) -> None:
        """Start all workers, and wait for the first one.

        Raises:
            UsageError: one has opened another oracle than the one that was described.
            OracleError: one cannot open the oracle.
        """
        for _ in range(self._workers):
            self._start_worker()
        with self._changed:
            if not self._changed.wait_for(lambda: self._free or self._end, _SECONDS_BEFORE_WORD):
                _log.warning(f"still waiting for the first of {self._workers} workers: there may be no room for it")
                self._changed.wait_for(lambda: self._free or self._end)
            self._check()

    @property
    def ready(self) -> int:
        """Workers that can be asked now."""
        with self._changed:
            return len(self._alive)

    def ask(self, images: Tensor, *, voting: bool) -> WorkerReply:
        """Ask a worker about images, as `Worker.answer` says; wait until one is free.

        Raises:
            WorkerLost: it died.
            Unanswered: nobody was asked, since asking has ended.
        """
        slot = self._take()
        try:
            reply = slot.worker.answer(images, voting)
        except WorkerDied as error:
            self._drop(slot)
            raise WorkerLost(f"{error}, with {len(images)} images under way; they stay charged") from error
        except BaseException:
            self._give_back(slot)
            raise
        self._give_back(slot)
        return reply

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

    def _take(self) -> _Slot:
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._end)
            self._check()
            return self._free.popleft()

    def _give_back(self, slot: _Slot) -> None:
        with self._changed:
            if slot.worker in self._alive:
                self._free.append(slot)
                self._changed.notify()

    def _drop(self, slot: _Slot) -> None:
        """Strike a worker off the list, and bring another; whoever holds another slot of it comes too late."""
        with self._changed:
            if slot.worker not in self._alive:
                return
            self._alive.remove(slot.worker)
            self._free = deque(other for other in self._free if other.worker is not slot.worker)
        _log.warning(f"{slot.place} was lost; another takes over")
        self._start_worker()

    def _start_worker(self) -> None:
        thread = threading.Thread(target=self._connect, name="worker", daemon=True)
        with self._changed:
            if self._end is not None:
                return
            thread.start()
            self._starting.append(thread)

    def _connect(self) -> None:
        """Start a worker, and let it be asked once it is ready."""
        try:
            worker = self._start()
            handshake = worker.handshake(lambda: self._end is not None)
        except WorkerDied as error:
            self._retry_start(error)
        except Exception as error:
            self._stop(error)
        else:
            self._register(worker, handshake)

    def _retry_start(self, error: WorkerDied) -> None:
        with self._changed:
            self._failed_starts += 1
            hopeless = self._failed_starts >= _MOST_FAILED_STARTS
        if hopeless:
            self._stop(
                OracleUnavailable(f"{_MOST_FAILED_STARTS} workers in a row were lost as they started; at last: {error}")
            )
        elif self._end is None:
            self._start_worker()

    def _register(self, worker: Worker, handshake: Handshake) -> None:
        if handshake.fingerprint != self._fingerprint:
            self._stop(
                UsageError(
                    f"{handshake.place} has opened another oracle than this process; put the same files and versions"
                    " on every node"
                )
            )
            return
        with self._changed:
            self._failed_starts = 0
            self._alive.append(worker)
            self._free.extend(_Slot(worker, handshake.place) for _ in range(self._slots))
            self._changed.notify_all()

    def _stop(self, error: Exception) -> None:
        """Let nobody ask any more; the first reason stays."""
        with self._changed:
            self._end = self._end or error
            self._changed.notify_all()
