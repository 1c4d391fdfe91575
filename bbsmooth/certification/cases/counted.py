"""An image of which a fixed number of votes are counted, whatever they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bbsmooth.certification.cases.case import Tally
from bbsmooth.certification.cases.votes import Draws, VoteSource
from oracles import Classes, Purpose

if TYPE_CHECKING:
    from torch import Tensor


class CountedCase:
    """The votes of one image for each class.

    Args:
        image: (C, H, W) uint8.
        purpose: of the draws, which names their stream.
        draws: how many.
        source: gives the votes, and knows those on record.
        classes: of the oracle.
    """

    def __init__(self, image: Tensor, purpose: Purpose, draws: int, source: VoteSource, classes: Classes) -> None:
        """Go on from the votes on record."""
        self.draws = draws
        self._purpose = purpose
        self._classes = classes
        self._tally = Tally.open(source, image, purpose, draws)

    @property
    def cost(self) -> int:
        """Queries until the end."""
        return self._tally.backlog

    @property
    def expected(self) -> float:
        """As `cost`."""
        return self._tally.backlog

    @property
    def votes(self) -> int:
        """Draws asked about so far, those on record included."""
        return self.draws - self._tally.backlog

    @property
    def finished(self) -> bool:
        """True if every draw is answered."""
        return self._tally.complete

    def backlog(self, purpose: Purpose) -> int:
        """Draws that can be asked about now."""
        return self._tally.backlog if purpose is self._purpose else 0

    def take(self, purpose: Purpose, most: int) -> Draws:
        """The next draws to ask about, at most `most`."""
        return self._tally.take(most)

    def tell(self, purpose: Purpose, draws: Draws, labels: Tensor) -> None:
        """Count answers to draws that were taken."""
        self._tally.tell(labels)
