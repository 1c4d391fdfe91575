"""An adaptive sample size: as many draws as the radius is worth, chosen per image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from scipy.special import betaincinv

from bbsmooth.certification.bounds.clopper_pearson import ClopperPearson
from bbsmooth.certification.engine.policies import expected_draws
from bbsmooth.certification.methods.decisions import Boundaries, RadiusTests
from bbsmooth.certification.protocols import Selection
from bbsmooth.certification.sequences import Calibrated, never, refuting
from bbsmooth.certification.verdict import Evidence, Outcome, Verdict, bounded
from bbsmooth.noise import NoiseDistribution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIRST_SHARE = 0.75
"""Of alpha, for the first look; the rest is for the look at the cap."""

_AIM = 0.8  # of the tolerance, so that most images need no second look
_SINGLE = 0.8  # of the cap: a first look beyond it saves less than its share of alpha costs


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptivePlan:
    """The settings that a certificate's meaning depends on; none has a default.

    The bound is looked at once or twice, after numbers of draws fixed by the selection votes, which come from a stream
    of their own: given them the estimation votes are as before, and Clopper & Pearson's bound holds at each look. The
    levels add up to `alpha`. A confidence sequence, valid at all times at once, is so much wider than the bound for a
    fixed number that it would be about 2 % behind even at the cap (see `experiments/sequential`).

    Args:
        noise: the smoothing distribution.
        num_selection: draws that choose the class (n0) and the number of estimation draws.
        max_estimation: most fresh draws.
        alpha: probability, over the draws, that a certificate is wrong.
        beta: probability, over the draws, that an image is given up although its class holds more than half.
        tolerance: how much smaller than after `max_estimation` draws a radius may be, as a share of that radius or of
            sigma, whichever is larger.

    Raises:
        ValueError: a number of draws below 1, or a level or the tolerance outside (0, 1).
    """

    name: ClassVar[str] = "adaptive"
    noise: NoiseDistribution
    num_selection: int
    max_estimation: int
    alpha: float
    beta: float
    tolerance: float

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can be certified."""
        if self.num_selection < 1 or self.max_estimation < 1:
            raise ValueError(
                "`num_selection` and `num_estimation` must be at least 1, "
                f"got {self.num_selection} and {self.max_estimation}"
            )
        if not (0 < self.alpha < 1 and 0 < self.beta < 1 and 0 < self.tolerance < 1):
            raise ValueError(
                "`alpha`, `beta` and `tolerance` must lie between 0 and 1, "
                f"got {self.alpha}, {self.beta}, {self.tolerance}"
            )

    @property
    def queries(self) -> int:
        """Queries for one image, at most."""
        return self.num_selection + self.max_estimation

    def looks(self, selection_votes: int) -> tuple[tuple[int, float], ...]:
        """After how many estimation draws, and at which level each, the bound is looked at.

        The first look is where the radius would be good enough if the rate were as the selection votes suggest, or one
        standard deviation higher.
        """
        rate = (selection_votes + 0.5) / (self.num_selection + 1)
        deviation = (rate * (1 - rate) / (self.num_selection + 2)) ** 0.5
        first = max(self._enough(rate), self._enough(min(rate + deviation, 1 - (1 - rate) / 2)))
        if first >= _SINGLE * self.max_estimation:
            return ((self.max_estimation, self.alpha),)
        return ((first, FIRST_SHARE * self.alpha), (self.max_estimation, (1 - FIRST_SHARE) * self.alpha))

    def bound(self, successes: int, draws: int, level: float, selection: Selection) -> float:
        """The lower bound on the class's probability at a look."""
        return max(0.0, ClopperPearson().lower(successes, draws, alpha=level) - selection.total_variation)

    def good_enough(self, radius: float, rate: float, *, share: float = 1.0) -> bool:
        """True if `radius` is within a `share` of the tolerance for an image whose class has the given rate."""
        expected = self._expected(rate, self.max_estimation, self.alpha)
        return radius >= expected - share * self.tolerance * max(expected, self.noise.sigma)

    @property
    def largest_radius(self) -> float:
        """No look can prove more than one at level `alpha` where all votes agree."""
        return self.noise.radius(ClopperPearson().lower(self.max_estimation, self.max_estimation, alpha=self.alpha))

    @property
    def terms(self) -> Mapping[str, float | str]:
        """Cap, level of giving up, and tolerance."""
        return {"cap": self.max_estimation, "beta": self.beta, "tolerance": self.tolerance}

    def judge(self, selection: Selection) -> AdaptiveJudge:
        """Return the judge of the votes of one image."""
        return AdaptiveJudge(self, selection)

    def given_up(self, total_variation: float) -> Boundaries:
        """Boundaries at which an image is given up: p >= 1/2 rejected at level `beta`."""
        return _half(self.beta, self.max_estimation, total_variation)

    def conclude(self, selection: Selection, counts: Counter[int], p_lower: float) -> Verdict:
        """The verdict that follows from the bound at the last look; 0 where the image was given up before."""
        evidence = Evidence(
            selected=selection.selected,
            counts=dict(sorted(counts.items())),
            p_lower=p_lower,
            alpha=self.alpha,
            num_selection=self.num_selection,
            num_estimation=counts.total(),
            total_variation=selection.total_variation,
        )
        return bounded(evidence, self.noise)

    def follows(self, outcome: Outcome) -> bool:
        """True if `outcome` is what these settings make of the counts in it."""
        evidence, levels = outcome.verdict.evidence, dict(self.looks(outcome.selection_votes))
        counts, draws = Counter(evidence.counts), evidence.num_estimation
        if evidence.selected is None or counts.total() != draws or draws > self.max_estimation:
            return False
        selection = Selection(
            selected=evidence.selected, votes=outcome.selection_votes, total_variation=evidence.total_variation
        )
        successes = counts[selection.selected]
        if successes <= self.given_up(selection.total_variation).lower[0, draws]:
            p_lower = 0.0
        elif draws in levels:
            p_lower = self.bound(successes, draws, levels[draws], selection)
        else:
            return False
        return outcome == Outcome(verdict=self.conclude(selection, counts, p_lower), selection_votes=selection.votes)

    def _enough(self, rate: float) -> int:
        """The fewest draws whose bound is expected to be good enough at the first look, with something to spare."""
        low, high = 1, self.max_estimation
        while low < high:
            middle = (low + high) // 2
            if self.good_enough(self._expected(rate, middle, FIRST_SHARE * self.alpha), rate, share=_AIM):
                high = middle
            else:
                low = middle + 1
        return high

    def _expected(self, rate: float, draws: int, alpha: float) -> float:
        """The radius that the bound gives where the share of successes is `rate`."""
        return self.noise.radius(float(betaincinv(rate * draws, (1 - rate) * draws + 1, alpha)))


@lru_cache(maxsize=16)
def _half(beta: float, cap: int, total_variation: float) -> Boundaries:
    lower = refuting(Calibrated(), 0.5 - total_variation, beta=beta, cap=cap)
    return Boundaries.of(never(cap)[None], lower[None], lower[None])


@dataclass(slots=True)
class AdaptiveJudge:
    """Looks at the bound once or twice, and gives an image up, at level beta, whose class holds less than half.

    Args:
        plan: the settings.
        selection: what the selection draws said.
    """

    plan: AdaptivePlan
    selection: Selection
    finished: bool = False
    _tests: RadiusTests = field(init=False)
    _looks: tuple[tuple[int, float], ...] = field(init=False)  # those to come
    _p_lower: float = field(init=False, default=0.0)  # at the last look

    def __post_init__(self) -> None:
        """Nothing is looked at yet."""
        self._looks = self.plan.looks(self.selection.votes)
        self._tests = RadiusTests(self.plan.given_up(self.selection.total_variation))

    @property
    def draws(self) -> int:
        """Votes looked at so far."""
        return self._tests.draws

    @property
    def needed(self) -> int:
        """One more: it may be the one that gives the image up."""
        return self._tests.draws + 1

    @property
    def until(self) -> int:
        """To the next look, or fewer where the image may be given up before."""
        tests, (next_look, _) = self._tests, self._looks[0]
        votes, trials = self.selection.votes, self.plan.num_selection
        if 2 * (votes + tests.successes) > trials + tests.draws:
            return next_look
        return min(next_look, tests.draws + tests.ahead(votes, trials))

    @property
    def expected(self) -> float:
        """To the next look, or to where the image is expected to be given up."""
        votes, trials = self.selection.votes + self._tests.successes, self.plan.num_selection + self._tests.draws
        left = self._looks[0][0] - self._tests.draws
        if 2 * votes > trials:
            return left
        return expected_draws(votes, trials, [0.5], alpha=self.plan.beta, most=left)

    def see(self, hits: NDArray[np.bool_]) -> None:
        """Look at the next votes, and at the bound where its turn has come."""
        while not self.finished:
            (look, level), tests = self._looks[0], self._tests
            new = hits[: look - tests.draws]
            tests.see(new)
            hits = hits[len(new) :]
            if tests.decided:  # only that the class holds less than half
                self.finished = True
            elif tests.draws == look:
                self._look(look, level)
            else:
                return

    def outcome(self, counts: Counter[int]) -> Outcome:
        """The verdict, once finished."""
        verdict = self.plan.conclude(self.selection, counts, self._p_lower)
        return Outcome(verdict=verdict, selection_votes=self.selection.votes)

    def _look(self, look: int, level: float) -> None:
        plan, successes = self.plan, self._tests.successes
        self._p_lower = plan.bound(successes, look, level, self.selection)
        self._looks = self._looks[1:]
        self.finished = not self._looks or plan.good_enough(plan.noise.radius(self._p_lower), successes / look)
