"""Fair dynamic batching: draws of all requests share the oracle's batches, and none suffers from the others."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from bbsmooth.certification import Draws, Outcome
from bbsmooth.certification.cases.case import ProvingCase
from oracles import (
    AnswerError,
    BudgetExhausted,
    OracleChanged,
    OracleError,
    OracleUnavailable,
    Purpose,
    Unanswered,
)
from oracles.errors import QuestionRejected

PURPOSE = Purpose.PREDICT
"""What all queries of the service are charged for: selection and estimation draws share calls."""

_ORDER = (Purpose.ESTIMATE, Purpose.SELECT)
_SMOOTHING = 0.1  # of the measured rate: about the last ten calls count
_log = logging.getLogger(__name__)

Votes = Callable[[Sequence[Draws]], list[Tensor]]
"""Labels (count,) of each of several draws, from one call of the oracle; called from several threads."""


class CallObserver(Protocol):
    """An observer of calls."""

    def call(self, images: int, seconds: float) -> None:
        """One call of the oracle was answered."""
        ...


@dataclass(slots=True, eq=False)
class ImageRequest:
    """A request for the certificate of one image.

    Attributes:
        case: of the image.
        owner: who asked.
        result: what is proven, once known.
        sent: draws that were handed to the oracle, less those that it provably did not answer.
    """

    case: ProvingCase
    owner: str
    result: Future[Outcome] = field(default_factory=Future)
    sent: int = 0

    def __post_init__(self) -> None:
        """Nobody can cancel the result by ceasing to wait for it."""
        self.result.set_running_or_notify_cancel()


@dataclass(frozen=True, slots=True)
class _Part:
    """Draws of one image in a batch."""

    request: ImageRequest
    purpose: Purpose
    draws: Draws


class FairBatcher:
    """Works on images with a fixed number of threads, each of which fills a batch, asks, and counts.

    A batch is shared equally among the owners that have draws to ask about; of one owner's images the first come first.
    No batch waits for company: while calls are under way, draws gather by themselves.

    Args:
        votes: asks the oracle.
        batch_size: most draws in one call.
        concurrency: calls under way at once.
        observer: told about calls.
        recover: lets calls be made again after the oracle could not be asked; called after each such failure.
        interrupt: makes calls that wait give up at once; called at the end, when nobody needs their answers.
        clock: seconds.
    """

    def __init__(
        self,
        votes: Votes,
        *,
        batch_size: int,
        concurrency: int,
        observer: CallObserver,
        recover: Callable[[], None] = lambda: None,
        interrupt: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is at work."""
        self._votes = votes
        self._batch_size = batch_size
        self._concurrency = concurrency
        self._observer = observer
        self._recover = recover
        self._interrupt = interrupt
        self._clock = clock
        self._changed = threading.Condition()  # guards all that follows
        self._queues: dict[str, deque[ImageRequest]] = {}  # by owner, who was served longest ago first
        self._rate = 0.0  # draws a second that one thread gets answered, 0 while unknown
        self._seconds_per_image = 0.0
        self._closing = False
        self._ended: OracleError | None = None

    @property
    def ended(self) -> OracleError | None:
        """Error after which this process answers no image any more, None while there is none."""
        return self._ended

    @contextmanager
    def running(self) -> Iterator[None]:
        """Work while the block runs; at its end calls under way are still answered, and what is not finished fails."""
        threads = torch.get_num_threads()
        torch.set_num_threads(max(1, threads // self._concurrency))  # calls do not wait for each other's processors
        workers = [threading.Thread(target=self._work, name=f"oracle-{each}") for each in range(self._concurrency)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            with self._changed:
                self._closing = True
                self._fail_all(OracleError("the service is ending"))
                self._changed.notify_all()
            self._interrupt()
            for worker in workers:
                worker.join()
            torch.set_num_threads(threads)

    def submit(self, case: ProvingCase, *, owner: str) -> ImageRequest:
        """Put an image to work."""
        request = ImageRequest(case, owner)
        with self._changed:
            if self._ended is not None:
                request.result.set_exception(self._ended)
            else:
                self._queues.setdefault(owner, deque()).append(request)
                self._changed.notify_all()
        return request

    def drop(self, request: ImageRequest) -> int:
        """Ask about no further draw of an image; how many draws of it were sent in all."""
        with self._changed:
            self._remove(request)
            return request.sent

    @property
    def seconds_per_image(self) -> float:
        """Seconds until the next image at work is expected to be finished, 0 where nothing is known. Never waits."""
        return self._seconds_per_image

    def _work(self) -> None:
        while parts := self._next():
            self._ask(parts)

    def _next(self) -> list[_Part]:
        """The next batch, as soon as there is one; none at the end."""
        with self._changed:
            while not (parts := self._form_batch()):
                if self._closing:
                    return []
                self._changed.wait()
            return parts

    def _form_batch(self) -> list[_Part]:
        parts: list[_Part] = []
        room = self._batch_size
        while room and (owners := [owner for owner, queue in self._queues.items() if any(map(_backlog, queue))]):
            share = max(1, room // len(owners))
            for owner in owners[:room]:
                taken = list(_take(self._queues[owner], share))
                room -= sum(part.draws.count for part in taken)
                parts += taken
                self._queues[owner] = self._queues.pop(owner)
        return parts

    def _ask(self, parts: list[_Part]) -> None:
        began, draws = self._clock(), sum(part.draws.count for part in parts)
        try:
            labels = self._votes([part.draws for part in parts])
        except (AnswerError, QuestionRejected) as error:
            apart = _by_request(parts)
            if len(apart) == 1:
                self._fail(parts, error)
            else:  # it may be the fault of one
                for own in apart:
                    self._ask(own)
        except Exception as error:  # whatever it is, each request gets a reply that says so
            self._fail(parts, error)
            if isinstance(error, OracleUnavailable) and self._ended is None and not self._closing:
                self._recover()
        else:
            seconds = self._clock() - began
            self._observer.call(draws, seconds)
            self._count(parts, labels, draws / max(seconds, 1e-6))

    def _count(self, parts: list[_Part], labels: list[Tensor], rate: float) -> None:
        with self._changed:
            self._rate += (rate - self._rate) * (_SMOOTHING if self._rate else 1.0)
            for part, answered in zip(parts, labels, strict=True):
                request = part.request
                if request.result.done():  # dropped, or failed with another batch
                    continue
                try:
                    request.case.tell(part.purpose, part.draws, answered)
                    if request.case.finished:
                        request.result.set_result(request.case.outcome())
                except Exception as error:
                    _log.exception("a verdict could not be reached")
                    request.result.set_exception(error)
                if request.result.done():
                    self._remove(request)
            self._estimate_wait()
            self._changed.notify_all()

    def _estimate_wait(self) -> None:
        expected = [request.case.expected for queue in self._queues.values() for request in queue]
        if expected:
            self._seconds_per_image = sum(expected) / len(expected) / (self._rate * self._concurrency)

    def _fail(self, parts: list[_Part], error: Exception) -> None:
        with self._changed:
            for part in parts:
                if isinstance(error, Unanswered | BudgetExhausted):
                    part.request.sent -= part.draws.count
                if not part.request.result.done():
                    part.request.result.set_exception(error)
                self._remove(part.request)
            if isinstance(error, OracleChanged | BudgetExhausted):  # also for votes of the old model on others' images
                self._ended = error
                self._fail_all(error)
            self._changed.notify_all()

    def _fail_all(self, error: Exception) -> None:
        for queue in self._queues.values():
            for request in queue:
                if not request.result.done():
                    request.result.set_exception(error)
        self._queues.clear()

    def _remove(self, request: ImageRequest) -> None:
        queue = self._queues.get(request.owner)
        if queue is not None and request in queue:
            queue.remove(request)
            if not queue:
                del self._queues[request.owner]


def _backlog(request: ImageRequest) -> int:
    return sum(request.case.backlog(purpose) for purpose in _ORDER)


def _take(queue: deque[ImageRequest], most: int) -> Iterator[_Part]:
    """Up to `most` draws of one owner's images, those that came first first."""
    for request in queue:
        for purpose in _ORDER:
            while most and request.case.backlog(purpose):
                draws = request.case.take(purpose, most)
                request.sent += draws.count
                most -= draws.count
                yield _Part(request, purpose, draws)


def _by_request(parts: list[_Part]) -> list[list[_Part]]:
    apart: dict[int, list[_Part]] = {}
    for part in parts:
        apart.setdefault(id(part.request), []).append(part)
    return list(apart.values())
