"""Certification of many images: full batches across images, verdicts in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from torch import Tensor

from bbsmooth.certification.case import CohenCase
from bbsmooth.certification.cohen import CohenPlan
from bbsmooth.certification.verdict import Verdict
from bbsmooth.certification.votes import Draws, VoteSource
from bbsmooth.randomness import image_digest
from oracles import BudgetExhausted, Classes, Purpose

Progress = Callable[[Purpose, int], None]
_ORDER = (Purpose.ESTIMATE, Purpose.SELECT)  # images at work are finished before others are begun


@dataclass(frozen=True, slots=True)
class Result:
    """One image's verdict.

    Attributes:
        index: where the image stands in the data.
        verdict: what is proven.
        seconds: wall time from its first question (or look into the record) to the verdict.
    """

    index: int
    verdict: Verdict
    seconds: float


def certify(
    images: Iterable[tuple[int, Tensor]],
    plan: CohenPlan,
    source: VoteSource,
    classes: Classes,
    *,
    batch_size: int,
    concurrency: int,
    affordable: int | None,
    progress: Progress = lambda purpose, queries: None,
) -> Iterator[Result]:
    """Certify images one after the other, with batches that mix images so that they are full.

    Every vote is on record before it is counted, so whatever ends this (a budget, an error, an interrupt, a kill), a
    later call over the same record pays only for what is missing. Verdicts do not depend on `batch_size`,
    `concurrency` or on such interruptions.

    Args:
        images: (index, (C, H, W) uint8) pairs; an image is loaded only when its turn comes.
        plan: the settings of the certificates.
        source: gives the votes.
        classes: of the oracle.
        batch_size: draws in one call of the oracle.
        concurrency: calls under way at once.
        affordable: queries that may be spent, None for no limit. An image whose missing draws do not fit is not begun.
        progress: told (purpose, queries) after each answered batch.

    Yields:
        Results in the order of `images`.

    Raises:
        BudgetExhausted: after the last verdict that `affordable` could pay for.
        OracleError: from the oracle or the record, after the batches under way were recorded.
    """
    board = _Board(images, plan, source, classes, affordable)
    with ThreadPoolExecutor(concurrency, thread_name_prefix="oracle") as pool:
        under_way: dict[Future[list[Tensor]], tuple[Purpose, list[tuple[CohenCase, Draws]]]] = {}
        try:
            while True:
                while len(under_way) < concurrency and (batch := board.next_batch(batch_size, waiting=bool(under_way))):
                    purpose, entries = batch
                    under_way[pool.submit(source.votes, [draws for _, draws in entries], purpose)] = batch
                known = list(board.finished())
                yield from known
                if not under_way and not known:
                    break
                for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                    purpose, entries = under_way.pop(done)
                    for (case, draws), labels in zip(entries, done.result(), strict=True):
                        case.tell(purpose, labels)
                        progress(purpose, draws.count)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what is under way is still answered and recorded
            raise
    if board.refused is not None:
        raise board.refused


class _Board:
    """The images at work: opens them as draws are needed, and hands out batches."""

    def __init__(
        self,
        images: Iterable[tuple[int, Tensor]],
        plan: CohenPlan,
        source: VoteSource,
        classes: Classes,
        affordable: int | None,
    ) -> None:
        self._waiting = iter(images)
        self._plan = plan
        self._source = source
        self._classes = classes
        self._affordable = affordable
        self._cases: deque[CohenCase] = deque()  # opened and not handed out yet, in order
        self._by_image: dict[bytes, CohenCase] = {}
        self.refused: BudgetExhausted | None = None

    def next_batch(self, size: int, *, waiting: bool) -> tuple[Purpose, list[tuple[CohenCase, Draws]]] | None:
        """A full batch; a smaller one only where nothing is `waiting` for answers that could fill it up."""
        while (
            not any(self._backlog(purpose) >= size for purpose in (Purpose.ESTIMATE, Purpose.SELECT)) and self._open()
        ):
            pass
        for least in (size,) if waiting else (size, 1):
            for purpose in _ORDER:
                if self._backlog(purpose) >= least:
                    return purpose, self._take(purpose, size)
        return None

    def finished(self) -> Iterator[Result]:
        """Results that are known and whose turn it is."""
        while self._head_finished:
            case = self._cases.popleft()
            self._by_image = {digest: other for digest, other in self._by_image.items() if other is not case}
            seconds = time.monotonic() - case.started
            for index in case.indices:
                yield Result(index, case.verdict(), seconds)

    @property
    def _head_finished(self) -> bool:
        return bool(self._cases) and self._cases[0].finished

    def _backlog(self, purpose: Purpose) -> int:
        return sum(case.backlog(purpose) for case in self._cases)

    def _take(self, purpose: Purpose, size: int) -> list[tuple[CohenCase, Draws]]:
        entries: list[tuple[CohenCase, Draws]] = []
        for case in self._cases:
            while size and case.backlog(purpose):
                entries.append((case, case.take(purpose, size)))
                size -= entries[-1][1].count
        return entries

    def _open(self) -> bool:
        """Open the next image; False where there is none, or where it cannot be paid for."""
        if self.refused is not None or (entry := next(self._waiting, None)) is None:
            return False
        index, image = entry
        digest = image_digest(image)
        if digest in self._by_image:  # the same image is at work: its votes serve both
            self._by_image[digest].indices.append(index)
            return True
        case = CohenCase(index, image, self._plan, self._source, self._classes)
        if self._affordable is not None:
            if case.cost > self._affordable:
                self.refused = BudgetExhausted(
                    requested=case.cost, remaining=self._affordable, purpose=f"certify image {index}"
                )
                return False
            self._affordable -= case.cost
        self._cases.append(case)
        self._by_image[digest] = case
        return True
