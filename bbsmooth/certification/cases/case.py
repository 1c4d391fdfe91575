"""An image on its way to a verdict: which draws it still needs, and what has been answered."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bbsmooth.certification.cases.votes import Draws, VoteSource
from bbsmooth.certification.verdict import Outcome
from oracles import Purpose
from oracles.recording import REFUSED, UNANSWERED

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(slots=True)
class Tally:
    """Votes of one stream.

    Attributes:
        image: (C, H, W) uint8.
        stream: its name.
        counts: class to votes.
        missing: draws that nobody was asked about yet, as (first, count).
        waiting: draws that were asked about and are not answered yet.
        refused: whether one of them will never be answered.
    """

    image: Tensor
    stream: bytes
    counts: Counter[int] = field(default_factory=Counter)
    missing: deque[tuple[int, int]] = field(default_factory=deque)
    waiting: int = 0
    refused: bool = False

    @classmethod
    def open(cls, source: VoteSource, image: Tensor, purpose: Purpose, size: int) -> Tally:
        """Go on from the votes on record among draws 0 to `size - 1`."""
        tally = cls(image, source.stream(image, purpose))
        recorded = source.log.read(tally.stream, 0, size)
        tally._count(recorded[recorded != UNANSWERED])
        edges = np.flatnonzero(np.diff(recorded == UNANSWERED, prepend=False, append=False))
        tally.missing.extend((int(start), int(stop - start)) for start, stop in edges.reshape(-1, 2))
        return tally

    @property
    def backlog(self) -> int:
        """Draws that nobody was asked about yet, and that are still worth asking about."""
        return 0 if self.refused else sum(count for _, count in self.missing)

    @property
    def complete(self) -> bool:
        """True if every draw is answered, or none matters any more."""
        return self.refused or not (self.missing or self.waiting)

    def take(self, most: int) -> Draws:
        """The next draws to ask about, at most `most`."""
        first, count = self.missing.popleft()
        if count > most:
            self.missing.appendleft((first + most, count - most))
            count = most
        self.waiting += count
        return Draws(self.image, self.stream, first, count)

    def tell(self, labels: Tensor) -> None:
        """Count the answers to some of the draws taken."""
        self.waiting -= len(labels)
        self._count(labels.numpy())

    def _count(self, labels: NDArray[np.int32] | NDArray[np.int64]) -> None:
        self.refused |= bool((labels == REFUSED).any())
        self.counts.update(labels[labels != REFUSED].tolist())


class Case(Protocol):
    """An image on its way to a verdict."""

    @property
    def cost(self) -> int:
        """Queries until the verdict, at most."""
        ...

    @property
    def expected(self) -> float:
        """Queries until the verdict, as far as one can tell."""
        ...

    @property
    def votes(self) -> int:
        """Draws asked about so far, those on record included."""
        ...

    @property
    def finished(self) -> bool:
        """True if the verdict is known."""
        ...

    def backlog(self, purpose: Purpose) -> int:
        """Draws that can be asked about now."""
        ...

    def take(self, purpose: Purpose, most: int) -> Draws:
        """The next draws to ask about, at most `most`."""
        ...

    def tell(self, purpose: Purpose, draws: Draws, labels: Tensor) -> None:
        """Count answers to draws that were taken, in whatever order they come."""
        ...


class ProvingCase(Case, Protocol):
    """An image on its way to a certificate."""

    @property
    def image(self) -> Tensor:
        """(C, H, W) uint8."""
        ...

    def outcome(self) -> Outcome:
        """Return what is proven, once finished."""
        ...
