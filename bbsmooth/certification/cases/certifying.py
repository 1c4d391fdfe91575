"""An image on its way to a certificate, whatever the method."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bbsmooth.certification.cases.case import Tally
from bbsmooth.certification.cases.ordered import OrderedVotes
from bbsmooth.certification.cases.votes import Draws, VoteSource, select
from bbsmooth.certification.protocols import Judge, Plan, Selection
from bbsmooth.certification.verdict import Abstention, Evidence, Outcome, Reason
from bbsmooth.randomness import uniform_number
from oracles import Classes, Purpose

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(slots=True, eq=False)
class CertifyingCase:
    """Certification of one image: selection draws choose a class, then a judge looks at estimation votes in order.

    The outcome depends neither on the order in which answers arrive nor on how many too many were asked for.

    Args:
        image: (C, H, W) uint8.
        plan: the settings.
        source: gives the votes, and knows those on record.
        classes: of the oracle.
    """

    image: Tensor
    plan: Plan
    source: VoteSource
    classes: Classes
    _selection: Tally = field(init=False)
    _votes: OrderedVotes = field(init=False)
    _selected: Selection | None = field(init=False, default=None)
    _judge: Judge | None = field(init=False, default=None)
    _reason: Reason | None = field(init=False, default=None)  # of an end without the judge
    _until: int = field(init=False, default=0)  # estimation draws to ask about now

    def __post_init__(self) -> None:
        """Go on from the votes on record."""
        self._selection = Tally.open(self.source, self.image, Purpose.SELECT, self.plan.num_selection)
        self._votes = OrderedVotes.open(self.source, self.image, Purpose.ESTIMATE, self.plan.max_estimation)
        self._look()

    @property
    def cost(self) -> int:
        """Queries until the verdict, at most."""
        return 0 if self.finished else self._selection.backlog + self._votes.backlog(self.plan.max_estimation)

    @property
    def expected(self) -> float:
        """Queries until the verdict, as far as one can tell; before the selection is known as for `cost`."""
        return self.cost if self._judge is None or self.finished else self._judge.expected

    @property
    def votes(self) -> int:
        """Draws asked about so far, those on record included."""
        return self.plan.num_selection - self._selection.backlog + int(self._votes.asked.sum())

    @property
    def finished(self) -> bool:
        """True if the verdict is known."""
        return self._reason is not None or (self._judge is not None and self._judge.finished)

    @property
    def selection(self) -> Selection | None:
        """Result of the selection draws, None while it is not known."""
        return self._selected

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether each estimation vote is for the selected class, as far as they are known without a gap."""
        known = self._votes.labels[: min(self._votes.known, self._votes.refused)]
        return np.equal(known, -1 if self._selected is None else self._selected.selected)

    def backlog(self, purpose: Purpose) -> int:
        """Draws that can be asked about now. Estimation waits for the selection's answers."""
        if self.finished:
            return 0
        if purpose is Purpose.SELECT:
            return self._selection.backlog
        return self._votes.backlog(self._until) if purpose is Purpose.ESTIMATE else 0

    def take(self, purpose: Purpose, most: int) -> Draws:
        """The next draws to ask about, at most `most`."""
        if purpose is Purpose.SELECT:
            return self._selection.take(most)
        return self._votes.take(min(most, self.backlog(purpose)))

    def tell(self, purpose: Purpose, draws: Draws, labels: Tensor) -> None:
        """Take down the answers to draws that were taken, and look at those whose turn has come."""
        if purpose is Purpose.SELECT:
            self._selection.tell(labels)
        else:
            self._votes.tell(draws, labels)
        self._look()

    def outcome(self) -> Outcome:
        """Return what is proven, once finished."""
        if not self.finished:
            raise RuntimeError("the case is not finished")
        if self._judge is not None and self._reason is None:
            return self._judge.outcome(Counter(self._votes.labels[: self._judge.draws].tolist()))
        selected = self._selected
        evidence = Evidence(
            selected=None if selected is None else selected.selected,
            counts={},
            p_lower=0.0,
            alpha=self.plan.alpha,
            num_selection=self.plan.num_selection,
            num_estimation=0,
            total_variation=self._total_variation,
        )
        abstention = Abstention(evidence=evidence, reason=self._reason or Reason.UNPROVEN)
        return Outcome(verdict=abstention, selection_votes=0 if selected is None else selected.votes)

    @property
    def _total_variation(self) -> float:
        return self.source.copies.total_variation(self.image.numel())

    def _look(self) -> None:
        """Let the judge see what is new. A refusal ends the case where the judge cannot do without that draw."""
        if self.finished or not self._selection.complete:
            return
        if self._selected is None:
            self._begin()
        judge, selected = self._judge, self._selected
        if judge is None or selected is None:
            return
        new = self._votes.labels[judge.draws : min(self._votes.known, self._votes.refused)]
        judge.see(np.equal(new, selected.selected))
        if judge.finished:
            return
        self._until = judge.until
        if self._votes.refused < judge.needed:
            self._reason = Reason.REFUSED

    def _begin(self) -> None:
        """Choose the class, unless the selection names none."""
        if self._selection.refused:
            self._reason = Reason.REFUSED
            return
        counts = self._selection.counts
        selected = select(counts, self.classes)
        self._selected = Selection(
            selected=selected,
            votes=counts[selected],
            total_variation=self._total_variation,
            uniform=uniform_number(self._votes.stream),
        )
        if self.classes.is_answer(selected):
            self._judge = self.plan.judge(self._selected)
        else:
            self._reason = Reason.NO_ANSWER
