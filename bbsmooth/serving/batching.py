"""Requests that arrive together are answered by one call of the oracle, and none of them suffers from the others."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bbsmooth.serving.measures import Measures
from bbsmooth.serving.refusal import Refusal
from oracles import AnswerError, Answers, ImageRefused, Oracle
from oracles.errors import QuestionRejected


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """Limits within which requests are put together.

    Args:
        size: most images in one call of the oracle.
        delay_seconds: longest wait of a request for others to join it.
        concurrency: calls of the oracle under way at once.
        max_waiting: requests that may wait; more are refused.

    Raises:
        ValueError: a number that makes no sense.
    """

    size: int = 256
    delay_seconds: float = 0.002
    concurrency: int = 1
    max_waiting: int = 1024

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if min(self.size, self.concurrency, self.max_waiting) < 1:
            raise ValueError("a batch, the concurrency and the queue must be at least 1")
        if not 0 <= self.delay_seconds < 60:
            raise ValueError(f"the delay must lie between 0 and 60 seconds, got {self.delay_seconds}")


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """A request in the queue."""

    images: Tensor
    arrived: float = field(default_factory=time.monotonic)
    answers: asyncio.Future[Answers] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def joins(self, other: _Request) -> bool:
        """True where both fit into one tensor without changing a bit."""
        return self.images.dtype == other.images.dtype and self.images.shape[1:] == other.images.shape[1:]


class Batcher:
    """Gathers requests into calls of an oracle.

    A request waits for others only while as many as were last seen at once are not here yet: a client that asks one
    question after the other never waits.

    Args:
        oracle: answers.
        plan: sizes and patience.
        measures: told about calls.
    """

    def __init__(self, oracle: Oracle, plan: BatchPlan, measures: Measures) -> None:
        """Nothing is waiting yet."""
        self._oracle = oracle
        self._plan = plan
        self._measures = measures
        self._queue: deque[_Request] = deque()
        self._changed = asyncio.Condition()
        self._under_way = 0  # requests inside a call
        self._expected = 1  # requests expected to be here at once
        self._peak = 0  # most requests here at once since the last call began
        self._calls: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests while the block runs; at its end those under way are still answered."""
        with ThreadPoolExecutor(self._plan.concurrency, thread_name_prefix="oracle") as pool:
            work = asyncio.create_task(self._work(pool))
            try:
                yield
            finally:
                work.cancel()
                await asyncio.gather(work, *self._calls, return_exceptions=True)

    async def infer(self, images: Tensor) -> Answers:
        """Answers to images (B, C, H, W), B at most the plan's size.

        Raises:
            Refusal: too many requests are waiting (status 503).
            OracleError: what the oracle says to these images.
        """
        if len(self._queue) >= self._plan.max_waiting:
            raise Refusal(503, f"{len(self._queue)} requests are waiting already", retry_after=1)
        request = _Request(images)
        async with self._changed:
            self._queue.append(request)
            self._peak = max(self._peak, self._present)
            self._changed.notify()
        return await request.answers

    @property
    def _present(self) -> int:
        return len(self._queue) + self._under_way

    async def _work(self, pool: ThreadPoolExecutor) -> None:
        free = asyncio.Semaphore(self._plan.concurrency)
        while True:
            await free.acquire()
            call = asyncio.create_task(self._call(await self._next(), pool))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            call.add_done_callback(lambda done: free.release())

    async def _next(self) -> list[_Request]:
        """The requests of the next call."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._queue)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._plan.delay_seconds):
                    await self._changed.wait_for(self._complete)
            batch = self._take()
            self._under_way += len(batch)
            self._expected, self._peak = max(self._peak, 1), self._present
            return batch

    def _complete(self) -> bool:
        """True where waiting longer would bring nothing."""
        full = sum(len(request.images) for request in self._queue) >= self._plan.size
        return full or self._present >= self._expected

    def _take(self) -> list[_Request]:
        """The first request and those after it that fit into one call with it; the others keep their order."""
        batch, left = list[_Request](), deque[_Request]()
        room = self._plan.size
        for request in self._queue:
            if not batch or (len(request.images) <= room and request.joins(batch[0])):
                batch.append(request)
                room -= len(request.images)
            else:
                left.append(request)
        self._queue = left
        return batch

    async def _call(self, batch: list[_Request], pool: ThreadPoolExecutor) -> None:
        try:
            await self._answer(batch, pool)
        finally:
            self._under_way -= len(batch)

    async def _answer(self, batch: list[_Request], pool: ThreadPoolExecutor) -> None:
        images = torch.cat([request.images for request in batch])
        began = time.monotonic()
        try:
            answers = await asyncio.get_running_loop().run_in_executor(pool, self._oracle.query, images)
            parts = _split(answers, batch)
            waited = [began - request.arrived for request in batch]
            self._measures.call(len(images), time.monotonic() - began, waited)
        except (AnswerError, ImageRefused, QuestionRejected) as error:
            if len(batch) == 1:
                _resolve(batch[0], error)
            else:  # it may be the fault of one
                for request in batch:
                    await self._answer([request], pool)
        except Exception as error:  # whatever it is, each request gets a reply that says so
            for request in batch:
                _resolve(request, error)
        else:
            for request, part in zip(batch, parts, strict=True):
                _resolve(request, part)


def _split(answers: Answers, batch: list[_Request]) -> list[Answers]:
    sizes = [len(request.images) for request in batch]
    scores = [None] * len(batch) if answers.scores is None else torch.split(answers.scores, sizes)
    return [Answers(*part) for part in zip(torch.split(answers.labels, sizes), scores, strict=True)]


def _resolve(request: _Request, outcome: Answers | Exception) -> None:
    if request.answers.done():  # cancelled with its request
        return
    if isinstance(outcome, Exception):
        request.answers.set_exception(outcome)
    else:
        request.answers.set_result(outcome)
