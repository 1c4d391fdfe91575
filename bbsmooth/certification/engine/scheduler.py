"""Schedulers, which choose the image that gets the next draws."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from bbsmooth.certification.cases.case import Case
from bbsmooth.certification.cases.votes import Draws
from bbsmooth.randomness import image_digest
from oracles import BudgetExhausted, Purpose

if TYPE_CHECKING:
    from torch import Tensor

C = TypeVar("C", bound=Case)
Batch = tuple[Purpose, list[tuple[C, Draws]]]
ORDER = (Purpose.ESTIMATE, Purpose.SELECT, Purpose.PREDICT)
"""Images at work are finished before others are begun."""


@dataclass(slots=True)
class RemainingBudget:
    """Budget that may still be spent.

    Attributes:
        remaining: queries that the ledger has left, None for no limit.
        under_way: draws that were handed out and are not answered. Whether they are charged yet nobody knows, so they
            count as not charged: at worst more seems to be spent than is, until they are answered.
    """

    remaining: Callable[[], int | None]
    under_way: int = 0

    @property
    def left(self) -> int | None:
        """Queries that may surely be spent now, None for no limit."""
        remaining = self.remaining()
        return None if remaining is None else max(0, remaining - self.under_way)


class Scheduler(Protocol[C]):
    """The images at work: opens them as draws are needed, and hands out batches."""

    @property
    def refused(self) -> BudgetExhausted | None:
        """Reason why nothing more is handed out although images are left."""
        ...

    def next_batch(self, size: int, *, waiting: bool) -> Batch[C] | None:
        """A full batch; a smaller one only where neither images nor answers that are `waiting` could fill it up."""
        ...

    def told(self, case: C) -> None:
        """A case was told answers."""
        ...

    def finished(self) -> Iterator[tuple[int, C, float]]:
        """(index, case, seconds) of the images whose turn it is to be reported."""
        ...


class Images(Generic[C]):
    """Images that wait to be begun.

    Args:
        images: (index, (C, H, W) uint8) pairs; each is loaded only when its turn comes.
        open_case: from an image to its case, with the votes on record.
    """

    def __init__(self, images: Iterable[tuple[int, Tensor]], open_case: Callable[[Tensor], C]) -> None:
        """Nothing is loaded yet."""
        self._waiting = iter(images)
        self._open_case = open_case

    def next(self, at_work: Callable[[bytes], C | None]) -> tuple[int, bytes, C] | None:
        """The next image: its index, digest and case; `at_work` gives the case of an equal image that is at work."""
        if (following := next(self._waiting, None)) is None:
            return None
        index, image = following
        digest = image_digest(image)
        return index, digest, at_work(digest) or self._open_case(image)


def recorded_first(
    indices: Iterable[int], image: Callable[[int], Tensor], recorded: Callable[[Tensor], bool]
) -> Iterator[tuple[int, Tensor]]:
    """(index, image) of the images that are on record, then of the others, each group in its order.

    Args:
        indices: of the images.
        image: loads one, (C, H, W) uint8; those that are not on record are loaded twice.
        recorded: whether the draws that choose an image's class are on record.
    """
    others = []
    for index in indices:
        if recorded(loaded := image(index)):
            yield index, loaded
        else:
            others.append(index)
    for index in others:
        yield index, image(index)


def take(cases: Iterable[C], purpose: Purpose, size: int) -> list[tuple[C, Draws]]:
    """Up to `size` draws for one purpose, from the first cases that have some."""
    parts: list[tuple[C, Draws]] = []
    for case in cases:
        while size and case.backlog(purpose):
            parts.append((case, case.take(purpose, size)))
            size -= parts[-1][1].count
        if not size:
            break
    return parts


@dataclass(frozen=True, slots=True)
class _Entry(Generic[C]):
    """An image at work: its place in the data, its case, and the clock when it was opened."""

    index: int
    case: C
    started: float = field(default_factory=time.monotonic)


class InOrder(Generic[C]):
    """Image after image, none of which is begun unless it can surely be finished; results in the order of the images.

    Args:
        images: to be begun.
        budget: what may be spent.
    """

    def __init__(self, images: Images[C], budget: RemainingBudget) -> None:
        """Nothing is begun yet."""
        self._images = images
        self._budget = budget
        self._entries: deque[_Entry[C]] = deque()  # in the order of the images
        self._cases: dict[bytes, C] = {}  # by image; equal images share one, and so draws and verdict
        self._held: tuple[int, bytes, C] | None = None  # cannot be paid for unless others need less than they might
        self.refused: BudgetExhausted | None = None

    def next_batch(self, size: int, *, waiting: bool) -> Batch[C] | None:
        """A full batch, or a smaller one as `Scheduler` allows."""
        while not self._head_finished and not any(self._backlog(purpose) >= size for purpose in ORDER):
            if not self._open():
                break
        for least in (size,) if waiting or self._head_finished else (size, 1):
            for purpose in ORDER:
                if self._backlog(purpose) >= least:
                    return purpose, take(self._cases.values(), purpose, size)
        return None

    def told(self, case: C) -> None:
        """See `Scheduler`. Nothing is kept that could be stale."""

    def finished(self) -> Iterator[tuple[int, C, float]]:
        """(index, case, seconds) of the images whose turn it is to be reported."""
        self._cases = {digest: case for digest, case in self._cases.items() if not case.finished}
        while self._head_finished:
            entry = self._entries.popleft()
            yield entry.index, entry.case, time.monotonic() - entry.started

    @property
    def _head_finished(self) -> bool:
        return bool(self._entries) and self._entries[0].case.finished

    def _backlog(self, purpose: Purpose) -> int:
        return sum(case.backlog(purpose) for case in self._cases.values())

    def _open(self) -> bool:
        """Open the next image; False where there is none, or where it cannot be paid for."""
        if self.refused is not None or (following := self._held or self._images.next(self._cases.get)) is None:
            return False
        index, digest, case = following
        self._held = None
        left = self._budget.left
        if digest not in self._cases and left is not None:
            promised = sum(other.cost for other in self._cases.values())
            if case.cost > left - promised:
                if promised or self._budget.under_way:
                    self._held = following
                else:
                    self.refused = BudgetExhausted(requested=case.cost, remaining=left, purpose=f"finish image {index}")
                return False
        self._entries.append(_Entry(index, self._cases.setdefault(digest, case)))
        return True
