"""Forecasts, with intervals, of what a certification will cost and prove, from a pilot.

The rates of images are drawn from their posterior (`population`), for the images of the pilot given their votes; then
what certifying each image takes is drawn from simulated certifications at its rate (`simulation`), and summed. So an
interval covers what chance does in the pilot, among the images, and in the certification. Many images with few draws
each tell more than few with many: images differ from each other by far more than votes leave open about one of them.

What an interval of 90 % is: between the 2.5 and the 97.5 % quantiles of these sums. The model's own 90 % intervals
cover less where images are of few kinds that no prior expects. Those given cover what happens in at least 85 % of
simulated cases, mixtures and rare expensive images included: `experiments/plan` counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bbsmooth.certification.methods.pilot import Pilot
from bbsmooth.certification.population import Population, Rates
from bbsmooth.certification.protocols import Plan
from bbsmooth.certification.simulation import CERTIFIED, DECIDED, QUERIES, Trials, simulated

Floats = NDArray[np.float64]

CONFIDENCE = 0.9
"""Share of cases in which an interval holds."""

_TAIL = 0.025  # of the model on either side
REPLICATES = 600
"""Draws of what the rates may be, on which a forecast stands."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number that is not known yet.

    Attributes:
        expected: as likely to be too high as too low (the median); of differences the mean, since most may be 0.
        low: lower end.
        high: upper end.
    """

    expected: float
    low: float
    high: float

    @classmethod
    def of(cls, replicates: Floats, *, mean: bool = False) -> Interval:
        """From draws of it (replicates,)."""
        low = float(np.quantile(replicates, _TAIL, method="lower"))
        high = float(np.quantile(replicates, 1 - _TAIL, method="higher"))
        return cls(float(np.mean(replicates) if mean else np.median(replicates)), low, high)

    def times(self, factor: float) -> Interval:
        """The same in another unit."""
        return Interval(self.expected * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """Cost, savings and losses of fewer draws at most, in comparison with the most.

    Attributes:
        draws: at most, of each image.
        queries: as of `Forecast`.
        certified: as of `Forecast`.
        saved: queries.
        lost: images that are decided with the most draws, and not with these.
        uncertified: for each radius, images that are certified with the most draws, and not with these.
    """

    draws: int
    queries: Interval
    certified: tuple[Interval, ...]
    saved: Interval
    lost: Interval
    uncertified: tuple[Interval, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Expectations of a certification.

    Attributes:
        queries: of all images, those of the pilot included.
        certified: share of images with a certificate of at least each radius, in the order of the radii.
        decided: number of images about which no radius is left open.
        caps: what smaller caps would save and lose, the largest first.
    """

    queries: Interval
    certified: tuple[Interval, ...]
    decided: Interval
    caps: tuple[Cap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way of certifying.

    Attributes:
        plan: of it.
        radii: at which certified images are counted.
        smaller: the same with fewer draws at most, in descending order, to learn what these would save and lose.
    """

    plan: Plan
    radii: tuple[float, ...]
    smaller: tuple[Plan, ...] = ()


def forecast(
    ways: Sequence[Way], pilot: Pilot, *, images: int, total_variation: float, seed: int, apart: bool = False
) -> tuple[Expectation, ...]:
    """Forecasts of what certifying images in several ways will cost and prove.

    Args:
        ways: how images may be certified.
        pilot: some of these images.
        images: how many are to be certified, those of the pilot included.
        total_variation: distance between drawn and ideal noise of one image.
        seed: of the simulation.
        apart: whether the pilot's are other images of the same kind, none of those to be certified.

    Raises:
        ValueError: the pilot has more images, or more draws than the selection of a plan.
    """
    most = min(way.plan.num_selection for way in ways)
    if (pilot.images > images and not apart) or pilot.draws > most:
        raise ValueError(f"{images} images with n0 {most} cannot be forecast from {pilot}")
    generator = np.random.default_rng(seed)
    needed = sorted({way.plan.noise.probability(radius) for way in ways for radius in way.radii})
    population = Population(pilot, tuple(needed))
    draws = list(population.draws(REPLICATES, generator))
    if apart:
        draws = [Rates(rates.shares, rates.pilot[:0]) for rates in draws]
    silent = _unanswered(pilot, images, generator, apart=apart)
    usual = np.mean([rates.shares for rates in draws], axis=0)
    usual[np.unique([rates.pilot for rates in draws]).astype(np.int64)] += 1 / images
    found = []
    for way in ways:
        trials = simulated(
            (way.plan, *way.smaller),
            population,
            usual,
            radii=way.radii,
            total_variation=total_variation,
            generator=generator,
        )
        found.append(summed(way, trials, draws, silent, images, generator))
    return tuple(found)


def summed(
    way: Way,
    trials: Trials,
    draws: Sequence[Rates],
    silent: NDArray[np.int64],
    images: int,
    generator: np.random.Generator,
) -> Expectation:
    """The forecast of one way, from simulated certifications and draws of the rates.

    Args:
        way: of certifying.
        trials: of its plans.
        draws: of the rates of all images that answer.
        silent: (draws,) images that do not, the pilot's included.
        images: in all.
        generator: of the choice among trials.
    """
    totals = np.array(
        [
            trials.totals(rates.shares, rates.pilot, images - len(rates.pilot) - int(unanswered), generator)
            for rates, unanswered in zip(draws, silent, strict=True)
        ]
    )  # (replicates, plans, columns)
    totals[:, :, QUERIES] += silent[:, None] * way.plan.num_selection
    most, places = totals[:, 0], range(CERTIFIED, CERTIFIED + len(way.radii))
    caps = [
        Cap(
            draws=plan.max_estimation,
            queries=Interval.of(fewer[:, QUERIES]),
            certified=tuple(Interval.of(fewer[:, place] / images) for place in places),
            saved=Interval.of((most - fewer)[:, QUERIES], mean=True),
            lost=Interval.of((most - fewer)[:, DECIDED], mean=True),
            uncertified=tuple(Interval.of((most - fewer)[:, place], mean=True) for place in places),
        )
        for plan, fewer in zip(way.smaller, totals.transpose(1, 0, 2)[1:], strict=True)
    ]
    return Expectation(
        queries=Interval.of(most[:, QUERIES]),
        certified=tuple(Interval.of(most[:, place] / images) for place in places),
        decided=Interval.of(most[:, DECIDED]),
        caps=tuple(caps),
    )


def _unanswered(pilot: Pilot, images: int, generator: np.random.Generator, *, apart: bool) -> NDArray[np.int64]:
    """Images (replicates,) that end with the selection, the pilot's unless apart; their share has Jeffreys' prior."""
    if not pilot.unanswered:
        return np.zeros(REPLICATES, dtype=np.int64)
    shares = generator.beta(pilot.unanswered + 0.5, len(pilot.votes) + 0.5, REPLICATES)
    own, others = (0, images) if apart else (pilot.unanswered, images - pilot.images)
    return own + generator.binomial(others, shares)
