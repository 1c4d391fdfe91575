"""One image on its way to a verdict: which draws it still needs, and what has been answered."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from bbsmooth.certification.cohen import CohenPlan, conclude, select
from bbsmooth.certification.verdict import Verdict
from bbsmooth.certification.votes import Draws, VoteSource
from oracles import Classes, Purpose
from oracles.recording import UNANSWERED


@dataclass(slots=True)
class Tally:
    """Votes of one stream.

    Attributes:
        stream: its name.
        counts: class to votes.
        missing: draws that nobody was asked about yet, as (first, count).
        waiting: draws that were asked about and are not answered yet.
    """

    stream: bytes
    counts: Counter[int] = field(default_factory=Counter)
    missing: deque[tuple[int, int]] = field(default_factory=deque)
    waiting: int = 0

    @classmethod
    def open(cls, source: VoteSource, image: Tensor, purpose: Purpose, size: int) -> Tally:
        """Go on from the votes on record among draws 0 to `size - 1`."""
        tally = cls(source.stream(image, purpose))
        recorded = source.log.read(tally.stream, 0, size)
        tally.counts.update(recorded[recorded != UNANSWERED].tolist())
        edges = np.flatnonzero(np.diff(recorded == UNANSWERED, prepend=False, append=False))
        tally.missing.extend((int(start), int(stop - start)) for start, stop in edges.reshape(-1, 2))
        return tally

    @property
    def backlog(self) -> int:
        """Draws that nobody was asked about yet."""
        return sum(count for _, count in self.missing)

    @property
    def complete(self) -> bool:
        """Whether every draw is answered."""
        return not self.missing and not self.waiting

    def take(self, most: int) -> tuple[int, int]:
        """The next (first, count) to ask about, at most `most` draws."""
        first, count = self.missing.popleft()
        if count > most:
            self.missing.appendleft((first + most, count - most))
            count = most
        self.waiting += count
        return first, count

    def tell(self, labels: Tensor) -> None:
        """Count the answers to some of the draws taken."""
        self.waiting -= len(labels)
        self.counts.update(labels.tolist())


class CohenCase:
    """CERTIFY for one image.

    Args:
        indices: where the image stands in the data; more than one for equal images, which share draws and verdict.
        image: (C, H, W) uint8.
        plan: the settings.
        source: gives the votes.
        classes: of the oracle.
    """

    def __init__(self, index: int, image: Tensor, plan: CohenPlan, source: VoteSource, classes: Classes) -> None:
        """Go on from the votes on record."""
        self.indices = [index]
        self.started = time.monotonic()
        self._image = image
        self._plan = plan
        self._classes = classes
        self._total_variation = source.grid.total_variation(source.noise, image.numel())
        self._tallies = {
            Purpose.SELECT: Tally.open(source, image, Purpose.SELECT, plan.num_selection),
            Purpose.ESTIMATE: Tally.open(source, image, Purpose.ESTIMATE, plan.num_estimation),
        }

    @property
    def cost(self) -> int:
        """Queries until the verdict."""
        return sum(tally.backlog for tally in self._tallies.values())

    def backlog(self, purpose: Purpose) -> int:
        """Draws that can be asked about now. Estimation waits for the selection's answers."""
        if purpose is Purpose.ESTIMATE and not self._tallies[Purpose.SELECT].complete:
            return 0
        return self._tallies[purpose].backlog

    def take(self, purpose: Purpose, most: int) -> Draws:
        """The next draws to ask about, at most `most`."""
        tally = self._tallies[purpose]
        return Draws(self._image, tally.stream, *tally.take(most))

    def tell(self, purpose: Purpose, labels: Tensor) -> None:
        """Count answers."""
        self._tallies[purpose].tell(labels)

    @property
    def finished(self) -> bool:
        """Whether the verdict is known."""
        return all(tally.complete for tally in self._tallies.values())

    def verdict(self) -> Verdict:
        """The verdict of a finished case."""
        selected = select(self._tallies[Purpose.SELECT].counts, self._classes)
        counts = self._tallies[Purpose.ESTIMATE].counts
        return conclude(selected, counts, self._plan, total_variation=self._total_variation)
