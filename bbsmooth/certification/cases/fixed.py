"""An image whose verdict takes a fixed number of draws and no selection among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bbsmooth.certification.cases.ordered import OrderedVotes
from bbsmooth.certification.cases.votes import Draws, VoteSource
from bbsmooth.certification.verdict import Outcome
from oracles import Purpose

if TYPE_CHECKING:
    from torch import Tensor

Conclude = Callable[[NDArray[np.int32] | None], Outcome]
"""From the labels of all draws, in their order, to what they prove; None where one of them is refused."""


@dataclass(slots=True, eq=False)
class FixedCase:
    """Certification of one image by a fixed number of draws.

    Args:
        image: (C, H, W) uint8.
        draws: how many; 0 where the verdict is known without.
        source: gives the votes, and knows those on record.
        conclude: what the votes prove.
    """

    image: Tensor
    draws: int
    source: VoteSource
    conclude: Conclude
    _votes: OrderedVotes | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Go on from the votes on record."""
        if self.draws:
            self._votes = OrderedVotes.open(self.source, self.image, Purpose.ESTIMATE, self.draws)

    @property
    def cost(self) -> int:
        """Queries until the verdict."""
        return self.backlog(Purpose.ESTIMATE)

    @property
    def expected(self) -> float:
        """As `cost`."""
        return self.cost

    @property
    def votes(self) -> int:
        """Draws asked about so far, those on record included."""
        return 0 if self._votes is None else int(self._votes.asked.sum())

    @property
    def finished(self) -> bool:
        """True if every draw is answered, or one is refused."""
        return self._votes is None or self._refused or self._votes.known == self.draws

    def backlog(self, purpose: Purpose) -> int:
        """Draws that can be asked about now."""
        if self._votes is None or self._refused or purpose is not Purpose.ESTIMATE:
            return 0
        return self._votes.backlog(self.draws)

    def take(self, purpose: Purpose, most: int) -> Draws:
        """The next draws to ask about, at most `most`. There must be one."""
        if self._votes is None:
            raise RuntimeError("the case is finished")
        return self._votes.take(most)

    def tell(self, purpose: Purpose, draws: Draws, labels: Tensor) -> None:
        """Take down the answers to draws that were taken."""
        if self._votes is not None:
            self._votes.tell(draws, labels)

    def outcome(self) -> Outcome:
        """Return what is proven, once finished."""
        if not self.finished:
            raise RuntimeError("the case is not finished")
        labels = np.empty(0, dtype=np.int32) if self._votes is None else self._votes.labels
        return self.conclude(None if self._refused else labels)

    @property
    def _refused(self) -> bool:
        return self._votes is not None and self._votes.refused < self.draws
