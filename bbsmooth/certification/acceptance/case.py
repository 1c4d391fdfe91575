"""An image on its way to a decision about its own label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bbsmooth.certification.acceptance.images import ImageTest
from bbsmooth.certification.acceptance.pausing import Region
from bbsmooth.certification.cases.ordered import OrderedVotes
from bbsmooth.certification.cases.votes import Draws, VoteSource
from bbsmooth.certification.methods.decisions import RadiusTests
from bbsmooth.certification.verdict import Decision, Reason, State
from oracles import Purpose

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True, eq=False)
class AcceptingCase:
    """Decision whether one image gets its label with the probability that each radius needs.

    What comes out depends neither on the order in which answers arrive nor on how many too many were asked for.

    Args:
        image: (C, H, W) uint8.
        label: number of the class that is right.
        test: the settings.
        source: gives the votes, and knows those on record.
        occurrence: equal images before it in the order of the run.
        region: counts at which it is set aside, None for none.
    """

    image: Tensor
    label: int
    test: ImageTest
    source: VoteSource
    occurrence: int = 0
    region: Region | None = None
    _votes: OrderedVotes = field(init=False)
    _tests: RadiusTests = field(init=False)
    _until: int = field(init=False, default=0)  # draws to ask about now
    refused: bool = field(init=False, default=False)
    aside: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Go on from the votes on record."""
        most, occurrence = self.test.max_estimation, self.occurrence
        self._votes = OrderedVotes.open(self.source, self.image, Purpose.ESTIMATE, most, occurrence=occurrence)
        self.go_on(self.region)

    def go_on(self, region: Region | None) -> None:
        """Look at all votes anew, and set the image aside in this region alone."""
        self._tests = RadiusTests(self.test.boundaries(self.total_variation))
        self.region, self.aside = region, False
        self._look()

    @property
    def settled(self) -> bool:
        """True if it is finished or set aside: no vote is looked at now."""
        return self.finished or self.aside

    @property
    def total_variation(self) -> float:
        """Distance between drawn and ideal noise of the image."""
        return self.source.copies.total_variation(self.image.numel())

    @property
    def cost(self) -> int:
        """Queries until the decision, at most."""
        return 0 if self.settled else self._votes.backlog(self.test.max_estimation)

    @property
    def expected(self) -> float:
        """Further queries that the decision is expected to take."""
        return 0 if self.settled else self._tests.expected(0, 0)

    @property
    def votes(self) -> int:
        """Draws asked about so far, those on record included."""
        return int(self._votes.asked.sum())

    @property
    def finished(self) -> bool:
        """True if no further vote is looked at."""
        return self.refused or self._tests.finished

    def backlog(self, purpose: Purpose) -> int:
        """Draws that can be asked about now."""
        return 0 if self.settled or purpose is not Purpose.ESTIMATE else self._votes.backlog(self._until)

    def take(self, purpose: Purpose, most: int) -> Draws:
        """The next draws to ask about, at most `most`."""
        return self._votes.take(min(most, self.backlog(purpose)))

    def tell(self, purpose: Purpose, draws: Draws, labels: Tensor) -> None:
        """Take down the answers to draws that were taken, and look at those whose turn has come."""
        self._votes.tell(draws, labels)
        self._look()

    @property
    def stream(self) -> bytes:
        """Name of the stream of its draws."""
        return self._votes.stream

    @property
    def draws(self) -> int:
        """Votes looked at."""
        return self._tests.draws

    @property
    def states(self) -> list[State]:
        """State of each radius; all undecided where the oracle refused a draw, even if some were decided before."""
        return [decision.state for decision in self.decisions]

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Decision about each radius, with the counts that show it."""
        found = self._tests.decisions(self.test.radii)
        if not self.refused:
            return found
        draws, hits = self._tests.draws, self._tests.successes
        return tuple(Decision(radius=one.radius, state=State.UNDECIDED, draws=draws, successes=hits) for one in found)

    @property
    def reason(self) -> Reason | None:
        """Reason of an end without a decision, None where the votes led to it."""
        return Reason.REFUSED if self.refused else None

    @property
    def counts(self) -> Counter[int]:
        """Votes of each class among those looked at."""
        return Counter(self._votes.labels[: self._tests.draws].tolist())

    def _look(self) -> None:
        """Look at what is new. A refusal ends the case where the tests cannot do without that draw."""
        if self.settled:
            return
        tests, region = self._tests, self.region
        hits = np.equal(self._votes.labels[tests.draws : min(self._votes.known, self._votes.refused)], self.label)
        place = None if region is None else region.first(tests.draws, tests.successes + hits.cumsum())
        tests.see(hits if place is None else hits[: place + 1])
        if tests.finished:
            return
        if place is not None:
            self.aside = True
            return
        ahead = tests.ahead(0, 0)
        self._until = tests.draws + (ahead if region is None else region.earliest(tests.draws, tests.successes, ahead))
        self.refused = self._votes.refused <= self._tests.draws
