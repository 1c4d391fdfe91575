"""CERTIFY of Cohen, Rosenfeld, Kolter (ICML 2019): choose a class, then count its votes on fresh draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bbsmooth.certification.bounds.vote_bounds import OneClass, VoteBound
from bbsmooth.certification.protocols import Selection
from bbsmooth.certification.verdict import Evidence, Outcome, Verdict, bounded
from bbsmooth.noise import NoiseDistribution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class CohenPlan:
    """The settings that a certificate's meaning depends on; no number has a default.

    Args:
        noise: the smoothing distribution.
        num_selection: draws that choose the class (n0).
        num_estimation: fresh draws that bound its probability (n).
        alpha: probability, over the draws, that a certificate is wrong.
        bound: what the votes are taken to prove.

    Raises:
        ValueError: a number of draws below 1, or alpha outside (0, 1).
    """

    name: ClassVar[str] = "cohen"
    noise: NoiseDistribution
    num_selection: int
    num_estimation: int
    alpha: float
    bound: VoteBound = OneClass()  # noqa: RUF009  # frozen, without state

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can be certified."""
        if self.num_selection < 1 or self.num_estimation < 1:
            raise ValueError(
                "`num_selection` and `num_estimation` must be at least 1, "
                f"got {self.num_selection} and {self.num_estimation}"
            )
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must lie between 0 and 1, got {self.alpha}")

    @property
    def queries(self) -> int:
        """Queries for one image."""
        return self.num_selection + self.num_estimation

    @property
    def max_estimation(self) -> int:
        """As `num_estimation`."""
        return self.num_estimation

    @property
    def largest_radius(self) -> float:
        """Radius where all votes agree."""
        return self.noise.radius(self.bound.largest(self.num_estimation, alpha=self.alpha))

    @property
    def terms(self) -> Mapping[str, float | str]:
        """The bound."""
        return {"bound": self.bound.name}

    def judge(self, selection: Selection) -> CohenJudge:
        """Return the judge that counts the votes of one image."""
        return CohenJudge(self, selection)

    def follows(self, outcome: Outcome) -> bool:
        """True if `outcome` is what these settings make of the counts in it."""
        evidence = outcome.verdict.evidence
        if evidence.selected is None or sum(evidence.counts.values()) != self.num_estimation:
            return False
        verdict = conclude(
            evidence.selected,
            Counter(evidence.counts),
            self,
            total_variation=evidence.total_variation,
            uniform=evidence.details.get("uniform", 1.0),
        )
        return outcome == Outcome(verdict=verdict, selection_votes=outcome.selection_votes)


@dataclass(slots=True)
class CohenJudge:
    """Waits for all votes.

    Args:
        plan: the settings.
        selection: what the selection draws said.
    """

    plan: CohenPlan
    selection: Selection
    draws: int = 0

    @property
    def finished(self) -> bool:
        """True if every draw is answered."""
        return self.draws == self.plan.num_estimation

    @property
    def needed(self) -> int:
        """All draws."""
        return self.plan.num_estimation

    @property
    def until(self) -> int:
        """All draws."""
        return self.plan.num_estimation

    @property
    def expected(self) -> float:
        """Draws that are left."""
        return self.plan.num_estimation - self.draws

    def see(self, hits: NDArray[np.bool_]) -> None:
        """Count: which class they are for matters only in the end."""
        self.draws += len(hits)

    def outcome(self, counts: Counter[int]) -> Outcome:
        """The verdict, once finished."""
        verdict = conclude(
            self.selection.selected,
            counts,
            self.plan,
            total_variation=self.selection.total_variation,
            uniform=self.selection.uniform,
        )
        return Outcome(verdict=verdict, selection_votes=self.selection.votes)


def conclude(
    selected: int,
    counts: Counter[int],
    plan: CohenPlan,
    *,
    total_variation: float,
    uniform: float = 1.0,
) -> Verdict:
    """The verdict that follows from the votes.

    Args:
        selected: class chosen by the selection draws.
        counts: votes among the `plan.num_estimation` estimation draws.
        plan: the settings.
        total_variation: distance between drawn and ideal noise, taken off the bound.
        uniform: number in (0, 1) that was drawn beside the votes, for bounds that need one.

    Returns:
        A certificate with radius sigma * Phi^-1(p_lower) for Gaussian noise (Theorem 1), or an abstention where
        `p_lower` is not above 1/2; see `VoteBound` for bounds that prove more.

    Raises:
        ValueError: `counts` does not hold `plan.num_estimation` votes: a lost vote would bias the bound.
    """
    if counts.total() != plan.num_estimation:
        raise ValueError(f"a certificate needs {plan.num_estimation} votes, got {counts.total()}")
    found = plan.bound.bounds(selected, counts, alpha=plan.alpha, uniform=uniform).corrected(total_variation)
    evidence = Evidence(
        selected=selected,
        counts=dict(sorted(counts.items())),
        p_lower=found.p_lower,
        alpha=plan.alpha,
        num_selection=plan.num_selection,
        num_estimation=plan.num_estimation,
        total_variation=total_variation,
        details=found.details,
    )
    return bounded(evidence, plan.noise)
