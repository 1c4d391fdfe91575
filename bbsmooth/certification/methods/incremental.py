"""Certificates for a classifier that was changed a little, from those of the earlier one and few new answers.

The later classifier must not have been chosen by looking at the earlier one's votes on these very draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bbsmooth.certification.bounds.clopper_pearson import ClopperPearson
from bbsmooth.certification.cases.fixed import FixedCase
from bbsmooth.certification.cases.votes import VoteSource, select
from bbsmooth.certification.methods.pairs import Pairs, lower_by_change, lower_by_votes
from bbsmooth.certification.verdict import Abstention, Evidence, Outcome, Reason, bounded
from bbsmooth.noise import NoiseDistribution
from oracles import Purpose, VoteLog
from oracles.recording import REFUSED, UNANSWERED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_NEARLY_ALL = 0.95  # of the earlier selection votes: above this share, few later votes prove more than the change does


@dataclass(frozen=True, slots=True)
class Chosen:
    """Result of the earlier classifier's selection draws.

    Attributes:
        selected: the class.
        votes: for it.
    """

    selected: int
    votes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IncrementalPlan:
    """The settings that a certificate's meaning depends on; none has a default.

    Which bound an image gets, by the change or by the later votes alone, is decided by the earlier selection votes:
    they are independent of all draws that the bounds rest on, so nothing is paid for the choice.

    Args:
        noise: the smoothing distribution, of both classifiers.
        num_estimation: how many of the earlier estimation draws, from the first, are asked about again (n).
        alpha: probability, over the draws, that a certificate is wrong.
        earlier_selection: draws that chose the class (n0), of the earlier classifier.
        earlier_estimation: draws that bounded its probability.

    Raises:
        ValueError: no draw, not fewer draws than the earlier classifier answered, or alpha outside (0, 1).
    """

    name: ClassVar[str] = "incremental"
    num_selection: ClassVar[int] = 0
    noise: NoiseDistribution
    num_estimation: int
    alpha: float
    earlier_selection: int
    earlier_estimation: int

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can be certified."""
        if not 1 <= self.num_estimation < self.earlier_estimation:
            raise ValueError(
                f"`num_estimation` must be below the earlier {self.earlier_estimation}, got {self.num_estimation}"
            )
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must lie between 0 and 1, got {self.alpha}")

    @property
    def max_estimation(self) -> int:
        """As `num_estimation`."""
        return self.num_estimation

    @property
    def queries(self) -> int:
        """Queries for one image."""
        return self.num_estimation

    @property
    def largest_radius(self) -> float:
        """Radius where all votes of both agree."""
        return self.noise.radius(
            max(
                ClopperPearson().lower(self.num_estimation, self.num_estimation, alpha=self.alpha),
                ClopperPearson().lower(self.earlier_estimation, self.earlier_estimation, alpha=self.alpha / 2),
            )
        )

    @property
    def terms(self) -> Mapping[str, float | str]:
        """Numbers of draws that the earlier classifier answered."""
        return {"earlier_n0": self.earlier_selection, "earlier_n": self.earlier_estimation}

    def conclude(self, earlier: Chosen, votes: Pairs, counts: Mapping[int, int], *, total_variation: float) -> Outcome:
        """Return what the votes of both classifiers prove about the later one.

        Args:
            earlier: what the earlier selection draws said.
            votes: for the class that they chose, of both.
            counts: class to votes, of the later one.
            total_variation: distance between drawn and ideal noise, taken off the bound.
        """
        by_votes = earlier.votes >= _NEARLY_ALL * self.earlier_selection
        p_lower = (lower_by_votes if by_votes else lower_by_change)(votes, alpha=self.alpha) - total_variation
        evidence = Evidence(
            selected=earlier.selected,
            counts=dict(sorted(counts.items())),
            p_lower=max(0.0, p_lower),
            alpha=self.alpha,
            num_selection=0,
            num_estimation=self.num_estimation,
            total_variation=total_variation,
            details={
                "earlier_selection_votes": earlier.votes,
                "earlier_votes": votes.earlier_votes,
                "lost": votes.lost,
            },
        )
        return Outcome(verdict=bounded(evidence, self.noise), selection_votes=0)

    def follows(self, outcome: Outcome) -> bool:
        """True if `outcome` is what these settings make of the counts in it."""
        evidence = outcome.verdict.evidence
        if evidence.selected is None or sum(evidence.counts.values()) != self.num_estimation:
            return False
        try:
            votes = Pairs(
                earlier_votes=int(evidence.details["earlier_votes"]),
                earlier_trials=self.earlier_estimation,
                votes=evidence.counts.get(evidence.selected, 0),
                trials=self.num_estimation,
                lost=int(evidence.details["lost"]),
            )
        except ValueError:
            return False
        chosen = Chosen(evidence.selected, int(evidence.details["earlier_selection_votes"]))
        again = self.conclude(chosen, votes, evidence.counts, total_variation=evidence.total_variation)
        return 0 < chosen.votes <= self.earlier_selection and outcome == again


@dataclass(frozen=True, slots=True)
class Earlier:
    """The votes of the earlier classifier on one image.

    Attributes:
        chosen: by its selection draws.
        labels: (n,) of its estimation draws, in their order.
    """

    chosen: Chosen
    labels: NDArray[np.int32]

    @classmethod
    def read(cls, log: VoteLog, image: Tensor, plan: IncrementalPlan, source: VoteSource) -> Earlier | Reason:
        """Read what is on record, or return the reason why it is of no use.

        Raises:
            ValueError: some of the draws were not answered.
        """
        selection = log.read(source.stream(image, Purpose.SELECT), 0, plan.earlier_selection)
        labels = log.read(source.stream(image, Purpose.ESTIMATE), 0, plan.earlier_estimation)
        if (selection == REFUSED).any() or (labels == REFUSED).any():
            return Reason.REFUSED
        if (selection == UNANSWERED).any():
            raise ValueError("the earlier run did not choose a class for one of the images; let it end first")
        counts = Counter(selection.tolist())
        selected = select(counts, log.spec.classes)
        if not log.spec.classes.is_answer(selected):
            return Reason.NO_ANSWER
        if (labels == UNANSWERED).any():
            raise ValueError("the earlier run did not certify one of the images; let it end first, or set `limit`")
        return cls(Chosen(selected, counts[selected]), labels)

    def pairs(self, labels: NDArray[np.int32]) -> Pairs:
        """Its votes beside those of a later classifier on the first draws (m,)."""
        before, now = self.labels == self.chosen.selected, labels == self.chosen.selected
        return Pairs(
            earlier_votes=int(before.sum()),
            earlier_trials=len(before),
            votes=int(now.sum()),
            trials=len(now),
            lost=int((before[: len(now)] & ~now).sum()),
        )


def incremental_case(image: Tensor, plan: IncrementalPlan, source: VoteSource, earlier: VoteLog) -> FixedCase:
    """Certification of one image for the later classifier.

    Args:
        image: (C, H, W) uint8.
        plan: the settings.
        source: gives the later classifier's votes, on the same draws.
        earlier: the votes of the earlier one.

    Raises:
        ValueError: the earlier classifier did not answer all draws.
    """
    found = Earlier.read(earlier, image, plan, source)
    total_variation = source.copies.total_variation(image.numel())

    if isinstance(found, Reason):
        return FixedCase(image, 0, source, lambda labels: _nothing(plan, found, total_variation))

    def conclude(labels: NDArray[np.int32] | None) -> Outcome:
        if labels is None:
            return _nothing(plan, Reason.REFUSED, total_variation)
        counts = Counter(labels.tolist())
        return plan.conclude(found.chosen, found.pairs(labels), counts, total_variation=total_variation)

    return FixedCase(image, plan.num_estimation, source, conclude)


def _nothing(plan: IncrementalPlan, reason: Reason, total_variation: float) -> Outcome:
    evidence = Evidence(
        selected=None,
        counts={},
        p_lower=0.0,
        alpha=plan.alpha,
        num_selection=0,
        num_estimation=0,
        total_variation=total_variation,
    )
    return Outcome(verdict=Abstention(evidence=evidence, reason=reason), selection_votes=0)
