"""Many images at once: full batches across images, results in order, nothing asked twice."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from bbsmooth.certification.case import Case
from bbsmooth.certification.votes import Draws, VoteSource
from bbsmooth.randomness import image_digest
from oracles import BudgetExhausted, Purpose

C = TypeVar("C", bound=Case)
Progress = Callable[[Purpose, int], None]
_ORDER = (Purpose.ESTIMATE, Purpose.SELECT, Purpose.PREDICT)  # images at work are finished before others are begun


@dataclass(frozen=True, slots=True)
class Entry(Generic[C]):
    """An image at work.

    Attributes:
        index: where it stands in the data.
        case: its case; equal images share one, and so draws and verdict.
        started: clock when it was opened.
    """

    index: int
    case: C
    started: float = field(default_factory=time.monotonic)


def work(
    images: Iterable[tuple[int, Tensor]],
    open_case: Callable[[Tensor], C],
    source: VoteSource,
    *,
    batch_size: int,
    concurrency: int,
    affordable: int | None,
    progress: Progress = lambda purpose, queries: None,
) -> Iterator[tuple[int, C, float]]:
    """Bring images to their verdicts, with batches that mix images so that they are full.

    Every vote is on record before it is counted, so whatever ends this (a budget, an error, an interrupt, a kill), a
    later call over the same record pays only for what is missing. Verdicts do not depend on `batch_size`,
    `concurrency` or on such interruptions.

    Args:
        images: (index, (C, H, W) uint8) pairs; an image is loaded only when its turn comes.
        open_case: from an image to its case, with the votes on record.
        source: gives the votes.
        batch_size: draws in one call of the oracle.
        concurrency: calls under way at once.
        affordable: queries that may be spent, None for no limit. An image whose missing draws do not fit is not begun.
        progress: told (purpose, queries) after each answered batch.

    Yields:
        (index, finished case, seconds), in the order of `images`.

    Raises:
        BudgetExhausted: after the last image that `affordable` could pay for.
        OracleError: from the oracle or the record, after the batches under way were recorded.
    """
    board = _Board(images, open_case, affordable)
    with _divided_threads(concurrency), ThreadPoolExecutor(concurrency, thread_name_prefix="oracle") as pool:
        under_way: dict[Future[list[Tensor]], tuple[Purpose, list[tuple[C, Draws]]]] = {}
        try:
            while True:
                while len(under_way) < concurrency and (batch := board.next_batch(batch_size, waiting=bool(under_way))):
                    purpose, parts = batch
                    under_way[pool.submit(source.votes, [draws for _, draws in parts], purpose)] = batch
                known = list(board.finished())
                yield from known
                if not under_way and not known:
                    break
                for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                    purpose, parts = under_way.pop(done)
                    for (case, draws), labels in zip(parts, done.result(), strict=True):
                        case.tell(purpose, draws, labels)
                        progress(purpose, draws.count)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what is under way is still answered and recorded
            raise
    if board.refused is not None:
        raise board.refused


@contextmanager
def _divided_threads(concurrency: int) -> Iterator[None]:
    """Divide torch's threads among concurrent calls, so that these do not wait for each other's processors."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // concurrency))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Board(Generic[C]):
    """The images at work: opens them as draws are needed, and hands out batches."""

    def __init__(
        self, images: Iterable[tuple[int, Tensor]], open_case: Callable[[Tensor], C], affordable: int | None
    ) -> None:
        self._waiting = iter(images)
        self._open_case = open_case
        self._affordable = None if affordable is None else max(0, affordable)
        self._entries: deque[Entry[C]] = deque()  # in the order of the images
        self._cases: dict[bytes, C] = {}  # by image
        self._held: tuple[int, bytes, C] | None = None  # cannot be paid for unless others need less than they might
        self.refused: BudgetExhausted | None = None

    def next_batch(self, size: int, *, waiting: bool) -> tuple[Purpose, list[tuple[C, Draws]]] | None:
        """A full batch; a smaller one only where neither images nor answers that are `waiting` could fill it up."""
        while not self._head_finished and not any(self._backlog(purpose) >= size for purpose in _ORDER):
            if not self._open():
                break
        for least in (size,) if waiting or self._head_finished else (size, 1):
            for purpose in _ORDER:
                if self._backlog(purpose) >= least:
                    return purpose, self._take(purpose, size)
        return None

    def finished(self) -> Iterator[tuple[int, C, float]]:
        """(index, case, seconds) of the images that are finished and whose turn it is."""
        self._cases = {digest: case for digest, case in self._cases.items() if not case.finished}
        while self._head_finished:
            entry = self._entries.popleft()
            yield entry.index, entry.case, time.monotonic() - entry.started

    @property
    def _head_finished(self) -> bool:
        return bool(self._entries) and self._entries[0].case.finished

    def _backlog(self, purpose: Purpose) -> int:
        return sum(case.backlog(purpose) for case in self._cases.values())

    def _take(self, purpose: Purpose, size: int) -> list[tuple[C, Draws]]:
        parts: list[tuple[C, Draws]] = []
        for case in self._cases.values():
            while size and case.backlog(purpose):
                parts.append((case, case.take(purpose, size)))
                size -= parts[-1][1].count
        if self._affordable is not None:
            self._affordable -= sum(draws.count for _, draws in parts)
        return parts

    def _open(self) -> bool:
        """Open the next image; False where there is none, or where it cannot be paid for."""
        if self.refused is not None or (following := self._held or self._next()) is None:
            return False
        index, digest, case = following
        self._held = None
        if digest not in self._cases and self._affordable is not None:
            promised = sum(other.cost for other in self._cases.values())
            if case.cost > self._affordable - promised:
                if promised:
                    self._held = following
                else:
                    self.refused = BudgetExhausted(
                        requested=case.cost, remaining=self._affordable, purpose=f"finish image {index}"
                    )
                return False
        case = self._cases.setdefault(digest, case)
        self._entries.append(Entry(index, case))
        return True

    def _next(self) -> tuple[int, bytes, C] | None:
        """The next image: its index, digest and case."""
        if (following := next(self._waiting, None)) is None:
            return None
        index, image = following
        digest = image_digest(image)
        return index, digest, self._cases.get(digest) or self._open_case(image)
