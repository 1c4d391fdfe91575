"""What a certification will cost and prove, from a pilot: by simulation, with an interval.

Each image has a rate p, the probability of its most likely class under noise. The rates of all images are taken for
draws from one Beta(a, b) distribution, of which the pilot's votes tell something: the hierarchical beta-binomial model
of Gelman et al., *Bayesian Data Analysis* (3rd ed.), section 5.3. A forecast draws a and b, then a rate for every image
(for those of the pilot given their votes), then what the certification does at this rate; and all that many times. So
its interval covers what chance will do in the pilot, among the images, and in the certification.

The model knows no clumps: of a rare kind of image that no pilot met it expects no more than the tail of a Beta has.
Where images are of a few kinds whose rates differ much, intervals are too wide if the kinds are seen, and too narrow
if an expensive one is not; a larger pilot helps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from bbsmooth.certification.methods.pilot import Pilot
from bbsmooth.certification.protocols import Plan, Selection
from bbsmooth.certification.verdict import Certificate

Floats = NDArray[np.float64]

CONFIDENCE = 0.9
"""Probability that an interval covers, under the model."""

_REPLICATES = 400
_BINS = 100  # of rates, with equally many images
_TRIALS = 5  # certifications simulated in each
_POOLED = 60_000  # rates that the bins are cut from
_UNPROVEN = -1.0  # radius of an abstention


@dataclass(frozen=True, slots=True)
class Interval:
    """A number that is not known yet.

    Attributes:
        expected: its mean.
        low: below it with probability (1 - `CONFIDENCE`) / 2.
        high: above it with the same probability.
    """

    expected: float
    low: float
    high: float

    @classmethod
    def of(cls, replicates: Floats) -> Interval:
        """From draws of it."""
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(replicates, [tail, 1 - tail])
        return cls(float(replicates.mean()), float(low), float(high))

    def times(self, factor: float) -> Interval:
        """The same in another unit."""
        return Interval(self.expected * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is to be expected of a certification.

    Attributes:
        queries: of all images, those of the pilot included.
        certified: share of images with a certificate of at least each radius, in the order of the radii.
    """

    queries: Interval
    certified: tuple[Interval, ...]


def forecast(
    plan: Plan, pilot: Pilot, *, images: int, radii: tuple[float, ...], total_variation: float, seed: int
) -> Forecast:
    """What certifying images by a plan will cost, and how many it will prove.

    Args:
        plan: how each image is certified.
        pilot: some of these images.
        images: how many are to be certified, those of the pilot included.
        radii: at which certified images are counted.
        total_variation: distance between drawn and ideal noise of one image.
        seed: of the simulation.

    Raises:
        ValueError: the pilot has more images, or another number of selection draws than the plan.
    """
    if len(pilot.votes) > images or pilot.num_selection != plan.num_selection:
        raise ValueError(f"{images} images with n0 {plan.num_selection} cannot be forecast from {pilot}")
    generator = np.random.default_rng(seed)
    population = Population(pilot)
    table = _Table(plan, total_variation, _pooled(population, images, generator), generator)
    queries, certified = np.empty(_REPLICATES), np.empty((_REPLICATES, len(radii)))
    for number, rates in zip(range(_REPLICATES), population.rates(images, generator), strict=False):
        spent, proven = table.look_up(rates, generator)
        queries[number] = spent.sum()
        certified[number] = [(proven >= radius).mean() for radius in radii]
    return Forecast(queries=Interval.of(queries), certified=tuple(map(Interval.of, certified.T)))


@dataclass(frozen=True, slots=True)
class Population:
    """The rates of images, as far as a pilot tells.

    A priori the mean of Beta(a, b) has Jeffreys' distribution, and log(a + b) is uniform between those of
    `CONCENTRATIONS`; both on a grid.

    Args:
        pilot: what was seen.
    """

    CONCENTRATIONS = (0.5, 2000.0)

    pilot: Pilot
    _shapes: Floats = field(init=False, repr=False, compare=False)  # (grid, 2): a and b
    _weights: Floats = field(init=False, repr=False, compare=False)  # (grid,): their probability given the pilot

    def __post_init__(self) -> None:
        """Weigh the grid by the probability of the votes, beta-binomial for each image."""
        means = np.sin((np.arange(200) + 0.5) / 200 * np.pi / 2) ** 2
        mean, concentration = map(np.ravel, np.meshgrid(means, np.geomspace(*self.CONCENTRATIONS, 40)))
        a, b = mean * concentration, (1 - mean) * concentration
        hits = np.array(self.pilot.votes)[:, None]
        misses = self.pilot.num_selection - hits
        evidence = (betaln(a + hits, b + misses) - betaln(a, b)).sum(0)
        weights = np.exp(evidence - evidence.max())
        object.__setattr__(self, "_shapes", np.stack([a, b], 1))
        object.__setattr__(self, "_weights", weights / weights.sum())

    def rates(self, images: int, generator: np.random.Generator) -> Iterator[Floats]:
        """Draws of the rates (images,) of all images, without end; those of the pilot stand first."""
        hits = np.array(self.pilot.votes)
        misses = self.pilot.num_selection - hits
        while True:
            for a, b in self._shapes[generator.choice(len(self._shapes), 100, p=self._weights)]:
                known = generator.beta(a + hits, b + misses)
                yield np.concatenate([known, generator.beta(a, b, images - len(hits))])


def _pooled(population: Population, images: int, generator: np.random.Generator) -> Floats:
    """Rates to be expected, in ascending order."""
    rows = max(_POOLED // images, _BINS)
    draws = [rates for _, rates in zip(range(rows), population.rates(min(images, _POOLED), generator), strict=False)]
    return np.sort(np.concatenate(draws))


class _Table:
    """Simulated certifications of images with rates as they are to be expected: queries and radius of each."""

    def __init__(self, plan: Plan, total_variation: float, pooled: Floats, generator: np.random.Generator) -> None:
        bins = np.array_split(pooled, _BINS)
        self._edges = np.array([rates[0] for rates in bins[1:]])
        tried = [
            [simulate(plan, float(rate), total_variation, generator) for rate in generator.choice(rates, _TRIALS)]
            for rates in bins
        ]
        self._outcomes = np.array(tried)  # (bins, trials, 2)

    def look_up(self, rates: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """Queries and radii (images,) of images with these rates."""
        found = self._outcomes[
            np.searchsorted(self._edges, rates, side="right"), generator.integers(_TRIALS, size=len(rates))
        ]
        return found[:, 0], found[:, 1]


def simulate(plan: Plan, rate: float, total_variation: float, generator: np.random.Generator) -> tuple[int, float]:
    """Certify an image that gives its class with this rate: the queries asked, and the radius or -1.

    The votes for the class are binomial; whatever is asked ahead of the decision counts as asked.
    """
    votes = int(generator.binomial(plan.num_selection, rate))
    judge = plan.judge(Selection(selected=0, votes=votes, total_variation=total_variation))
    hits = generator.random(plan.max_estimation) < rate
    asked = 0
    while not judge.finished:
        asked = max(asked, min(judge.until, plan.max_estimation))
        judge.see(hits[judge.draws : asked])
    successes = int(hits[: judge.draws].sum())
    verdict = judge.outcome(Counter({0: successes, 1: judge.draws - successes})).verdict
    return plan.num_selection + asked, verdict.radius if isinstance(verdict, Certificate) else _UNPROVEN
