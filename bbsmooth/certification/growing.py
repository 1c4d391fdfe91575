"""Growing a radius: as many draws as the radius is worth, chosen per image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache

from scipy.stats import beta as beta_distribution
from torch import Tensor

from bbsmooth.certification.bounds import ClopperPearson
from bbsmooth.certification.case import Tally
from bbsmooth.certification.cohen import select
from bbsmooth.certification.decisions import Boundaries, State, Watch
from bbsmooth.certification.ordered import OrderedVotes
from bbsmooth.certification.sequences import Calibrated, never, refuting
from bbsmooth.certification.verdict import Abstention, Certificate, Evidence, Verdict
from bbsmooth.certification.votes import Draws, VoteSource
from bbsmooth.noise import NoiseDistribution
from oracles import Classes, Purpose

FIRST_SHARE = 0.75
"""Of alpha, for the first look; the rest is for the look at the cap."""

_AIM = 0.8  # of the tolerance, so that most images need no second look
_SINGLE = 0.8  # of the cap: a first look beyond it saves less than its share of alpha costs


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowingPlan:
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

    noise: NoiseDistribution
    num_selection: int
    max_estimation: int
    alpha: float
    beta: float
    tolerance: float

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can be certified."""
        if self.num_selection < 1 or self.max_estimation < 1:
            raise ValueError(f"n0 and n must be at least 1, got {self.num_selection} and {self.max_estimation}")
        if not (0 < self.alpha < 1 and 0 < self.beta < 1 and 0 < self.tolerance < 1):
            raise ValueError(
                f"alpha, beta and tolerance must lie between 0 and 1, got {self.alpha}, {self.beta}, {self.tolerance}"
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

    def good_enough(self, radius: float, rate: float, *, share: float = 1.0) -> bool:
        """Whether `radius` is within a `share` of the tolerance for an image whose class has the given rate."""
        expected = self._expected(rate, self.max_estimation, self.alpha)
        return radius >= expected - share * self.tolerance * max(expected, self.noise.sigma)

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
        return self.noise.radius(float(beta_distribution.ppf(alpha, rate * draws, (1 - rate) * draws + 1)))


@lru_cache(maxsize=16)
def _half(beta: float, cap: int, total_variation: float) -> Boundaries:
    """Where an image is given up: p >= 1/2 rejected at level `beta`. Nothing is certified here."""
    lower = refuting(Calibrated(), 0.5 - total_variation, beta=beta, cap=cap)
    return Boundaries.of(never(cap)[None], lower[None])


@dataclass(slots=True, eq=False)
class GrowingCase:
    """Certification of one image with as many draws as its radius is worth.

    An image whose class is shown to hold less than half is given up early, at level beta.

    Args:
        image: (C, H, W) uint8.
        plan: the settings.
        source: gives the votes, and knows those on record.
        classes: of the oracle.
    """

    image: Tensor
    plan: GrowingPlan
    source: VoteSource
    classes: Classes
    _selection: Tally = field(init=False)
    _votes: OrderedVotes = field(init=False)
    _total_variation: float = field(init=False)
    _watch: Watch | None = field(init=False, default=None)
    _selected: int = field(init=False, default=-1)
    _looks: tuple[tuple[int, float], ...] = field(init=False, default=())
    _p_lower: float = field(init=False, default=0.0)
    _trials: int | None = field(init=False, default=None)  # estimation votes used, once finished

    def __post_init__(self) -> None:
        """Go on from the votes on record."""
        self._total_variation = self.source.grid.total_variation(self.source.noise, self.image.numel())
        self._selection = Tally.open(self.source, self.image, Purpose.SELECT, self.plan.num_selection)
        self._votes = OrderedVotes.open(self.source, self.image, Purpose.ESTIMATE, self.plan.max_estimation)
        self._proceed()

    @property
    def cost(self) -> int:
        """Queries until the verdict, at most."""
        if self.finished:
            return 0
        return self._selection.backlog + self._votes.backlog(self.plan.max_estimation)

    @property
    def finished(self) -> bool:
        """Whether the radius is large enough, the image given up, or every draw answered."""
        return self._trials is not None

    def backlog(self, purpose: Purpose) -> int:
        """Draws that can be asked about now."""
        if purpose is Purpose.SELECT:
            return self._selection.backlog
        if purpose is not Purpose.ESTIMATE or self._watch is None or self.finished:
            return 0
        return self._votes.backlog(self._until)

    def take(self, purpose: Purpose, most: int) -> Draws:
        """The next draws to ask about, at most `most`."""
        if purpose is Purpose.SELECT:
            return self._selection.take(most)
        return self._votes.take(min(most, self._votes.backlog(self._until)))

    def tell(self, purpose: Purpose, draws: Draws, labels: Tensor) -> None:
        """Take down the answers to draws that were taken, and look at those whose turn has come."""
        if purpose is Purpose.SELECT:
            self._selection.tell(labels)
        else:
            self._votes.tell(draws, labels)
        self._proceed()

    def verdict(self) -> Verdict:
        """The verdict, once finished."""
        if self._trials is None:
            raise RuntimeError("the case is not finished")
        counts = Counter(self._votes.labels[: self._trials].tolist())
        evidence = Evidence(
            selected=self._selected,
            counts=dict(sorted(counts.items())),
            p_lower=self._p_lower,
            alpha=self.plan.alpha,
            num_selection=self.plan.num_selection,
            num_estimation=self._trials,
            total_variation=self._total_variation,
        )
        radius = self.plan.noise.radius(self._p_lower)
        if not radius > 0:  # also for NaN: whatever is not proven is an abstention
            return Abstention(evidence=evidence)
        return Certificate(label=self._selected, radius=radius, norm=self.plan.noise.norm, evidence=evidence)

    @property
    def _until(self) -> int:
        """Draws to ask about now: to the next look, or fewer where the image may be given up before."""
        if self._watch is None or not self._looks:
            return 0
        watch, next_look = self._watch, self._looks[0][0]
        votes, trials = self._selection.counts[self._selected], self.plan.num_selection
        if 2 * (votes + watch.successes) > trials + watch.draws:
            return next_look
        return min(next_look, watch.draws + watch.ahead(votes, trials))

    def _proceed(self) -> None:
        if self.finished or not self._selection.complete:
            return
        if self._watch is None:
            self._selected = select(self._selection.counts, self.classes)
            self._looks = self.plan.looks(self._selection.counts[self._selected])
            self._watch = Watch(_half(self.plan.beta, self.plan.max_estimation, self._total_variation))
        while self._looks and not self.finished:
            (look, level), watch = self._looks[0], self._watch
            watch.see(self._votes.labels[watch.draws : min(self._votes.known, look)] == self._selected)
            if watch.decided and watch.states() == [State.REFUTED]:
                self._trials = watch.draws
            elif watch.draws == look:
                bound = ClopperPearson().lower(watch.successes, look, alpha=level) - self._total_variation
                self._p_lower, self._looks = max(self._p_lower, bound), self._looks[1:]
                radius, rate = self.plan.noise.radius(self._p_lower), watch.successes / look
                if not self._looks or self.plan.good_enough(radius, rate):
                    self._trials = look
            else:
                return
