"""CERTIFY of Cohen, Rosenfeld, Kolter (ICML 2019): choose a class, then count its votes on fresh draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bbsmooth.certification.bounds import ClopperPearson, ConfidenceBound
from bbsmooth.certification.case import Tally
from bbsmooth.certification.verdict import Abstention, Certificate, Evidence, Verdict
from bbsmooth.certification.votes import Draws, VoteSource
from bbsmooth.noise import NoiseDistribution
from oracles import Classes, Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class CohenPlan:
    """The settings that a certificate's meaning depends on; none has a default.

    Args:
        noise: the smoothing distribution.
        num_selection: draws that choose the class (n0).
        num_estimation: fresh draws that bound its probability (n).
        alpha: probability, over the draws, that a certificate is wrong.

    Raises:
        ValueError: a number of draws below 1, or alpha outside (0, 1).
    """

    noise: NoiseDistribution
    num_selection: int
    num_estimation: int
    alpha: float

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can be certified."""
        if self.num_selection < 1 or self.num_estimation < 1:
            raise ValueError(f"n0 and n must be at least 1, got {self.num_selection} and {self.num_estimation}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, got {self.alpha}")

    @property
    def queries(self) -> int:
        """Queries for one image."""
        return self.num_selection + self.num_estimation


def select(votes: Mapping[int, int], classes: Classes) -> int:
    """The class with the most votes; of equals the lowest number, in an open set the first name in the alphabet.

    The choice may not depend on the order in which answers arrived, which is what numbers an open set's classes.
    """
    most = max(votes.values())
    return min(
        (number for number, count in votes.items() if count == most),
        key=lambda number: (classes.name(number) if classes.open_set else "", number),
    )


def conclude(
    selected: int,
    counts: Counter[int],
    plan: CohenPlan,
    *,
    total_variation: float,
    bound: ConfidenceBound = ClopperPearson(),  # noqa: B008  # frozen, without state
) -> Verdict:
    """The verdict that follows from the votes.

    Args:
        selected: class chosen by the selection draws.
        counts: votes among the `plan.num_estimation` estimation draws.
        plan: the settings.
        total_variation: distance between drawn and ideal noise, taken off the bound.
        bound: for a number of draws fixed in advance.

    Returns:
        A certificate with radius sigma * Phi^-1(p_lower) for Gaussian noise (Theorem 1), or an abstention where
        `p_lower` is not above 1/2.

    Raises:
        ValueError: `counts` does not hold `plan.num_estimation` votes: a lost vote would bias the bound.
    """
    if counts.total() != plan.num_estimation:
        raise ValueError(f"a certificate needs {plan.num_estimation} votes, got {counts.total()}")
    p_lower = bound.lower(counts[selected], plan.num_estimation, alpha=plan.alpha) - total_variation
    evidence = Evidence(
        selected=selected,
        counts=dict(sorted(counts.items())),
        p_lower=max(0.0, p_lower),
        alpha=plan.alpha,
        num_selection=plan.num_selection,
        num_estimation=plan.num_estimation,
        total_variation=total_variation,
    )
    radius = plan.noise.radius(evidence.p_lower)
    if not radius > 0:  # also for NaN: whatever is not proven is an abstention
        return Abstention(evidence=evidence)
    return Certificate(label=selected, radius=radius, norm=plan.noise.norm, evidence=evidence)


class CohenCase:
    """CERTIFY for one image.

    Args:
        image: (C, H, W) uint8.
        plan: the settings.
        source: gives the votes, and knows those on record.
        classes: of the oracle.
    """

    def __init__(self, image: Tensor, plan: CohenPlan, source: VoteSource, classes: Classes) -> None:
        """Go on from the votes on record."""
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

    @property
    def finished(self) -> bool:
        """Whether every draw is answered."""
        return all(tally.complete for tally in self._tallies.values())

    def backlog(self, purpose: Purpose) -> int:
        """Draws that can be asked about now. Estimation waits for the selection's answers."""
        if purpose not in self._tallies:
            return 0
        if purpose is Purpose.ESTIMATE and not self._tallies[Purpose.SELECT].complete:
            return 0
        return self._tallies[purpose].backlog

    def take(self, purpose: Purpose, most: int) -> Draws:
        """The next draws to ask about, at most `most`."""
        return self._tallies[purpose].take(most)

    def tell(self, purpose: Purpose, draws: Draws, labels: Tensor) -> None:
        """Count answers to draws that were taken."""
        self._tallies[purpose].tell(labels)

    def verdict(self) -> Verdict:
        """The verdict, once finished."""
        selected = select(self._tallies[Purpose.SELECT].counts, self._classes)
        counts = self._tallies[Purpose.ESTIMATE].counts
        return conclude(selected, counts, self._plan, total_variation=self._total_variation)
