"""Images whose label is what the oracle itself says to them, without noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bbsmooth.certification.cases.case import ProvingCase, Tally
from bbsmooth.certification.cases.votes import Draws, VoteSource
from bbsmooth.certification.verdict import Outcome
from oracles import Purpose

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True, eq=False)
class LabelledCase:
    """Certification of one image, begun once the oracle has labelled it.

    The label comes first, so that many images wait for theirs together: it is asked for in full batches, and only for
    images that are about to be certified. An oracle that refuses to label an image leaves it without.

    Args:
        case: the certification.
        labelling: the question for the label; without one nothing is asked.
    """

    case: ProvingCase
    labelling: Tally

    @classmethod
    def by_oracle(cls, case: ProvingCase, source: VoteSource) -> LabelledCase:
        """A case whose label is asked for as draw 0 for `Purpose.PREDICT`, which must be a clean one of `source`."""
        return cls(case, Tally.open(source, case.image, Purpose.PREDICT, 1))

    @classmethod
    def without(cls, case: ProvingCase) -> LabelledCase:
        """A case for which no label is asked."""
        return cls(case, Tally(case.image, b""))

    @property
    def label(self) -> int | None:
        """The oracle's class for the clean image, None where it gave none or was not asked."""
        return next(iter(self.labelling.counts), None)

    @property
    def cost(self) -> int:
        """Queries until the verdict, at most, that for the label included."""
        return self.labelling.backlog + self.case.cost

    @property
    def expected(self) -> float:
        """Queries until the verdict, as far as one can tell, that for the label included."""
        return self.labelling.backlog + self.case.expected

    @property
    def votes(self) -> int:
        """See `Case`. The label is not a vote."""
        return self.case.votes

    @property
    def finished(self) -> bool:
        """True if the label and the verdict are known."""
        return self.labelling.complete and self.case.finished

    def backlog(self, purpose: Purpose) -> int:
        """See `Case`. The votes wait for the label."""
        if purpose is Purpose.PREDICT:
            return self.labelling.backlog
        return self.case.backlog(purpose) if self.labelling.complete else 0

    def take(self, purpose: Purpose, most: int) -> Draws:
        """The next draws to ask about, at most `most`: of the label or of the votes, by purpose."""
        return self.labelling.take(most) if purpose is Purpose.PREDICT else self.case.take(purpose, most)

    def tell(self, purpose: Purpose, draws: Draws, labels: Tensor) -> None:
        """Count answers to draws that were taken: to the label or to the votes, by purpose."""
        if purpose is Purpose.PREDICT:
            self.labelling.tell(labels)
        else:
            self.case.tell(purpose, draws, labels)

    def outcome(self) -> Outcome:
        """Return what is proven, once finished."""
        return self.case.outcome()
