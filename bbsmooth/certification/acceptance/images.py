"""The test of one image: its levels, their exact errors, and the split of the risk that costs fewest queries."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri, xlogy

from bbsmooth.certification.methods.decisions import Boundaries, boundaries
from bbsmooth.certification.sequences import Calibrated, OneSidedTest, TruncatedBetaBinomial, stopping
from bbsmooth.certification.sequences.protocol import Floats
from bbsmooth.noise import NoiseDistribution

TEST: OneSidedTest = Calibrated(TruncatedBetaBinomial(1.0, 1.0))
"""On both sides: of the tests that were tried over the reference population the one with the fewest queries."""

_ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.15)
_BETAS = (0.02, 0.05, 0.1)
_KINDS = 8  # of images on either side of the radius, in the reference population
_SPREAD = 4.0  # of their distances, in standard deviations of the noise
MOST = 1 - 1e-6
"""Rate above which no test is calibrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTest:
    """Settings of the test of one image.

    Args:
        noise: the smoothing distribution.
        radii: ascending.
        image_alpha: level of certifying one image.
        image_beta: level of refuting one image.
        max_estimation: most draws of one image.

    Raises:
        ValueError: levels, draws or radii that are none.
    """

    noise: NoiseDistribution
    radii: tuple[float, ...]
    image_alpha: float
    image_beta: float
    max_estimation: int

    def __post_init__(self) -> None:
        """Refuse what cannot be tested."""
        for name in ("image_alpha", "image_beta"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"`{name}` must lie between 0 and 1, got {getattr(self, name)}")
        if self.max_estimation < 1:
            raise ValueError(f"`num_estimation` must be at least 1, got {self.max_estimation}")
        if not (self.radii and self.radii[0] >= 0 and list(self.radii) == sorted(set(self.radii))):
            raise ValueError(f"`radii` must be ascending and not negative, got {self.radii}")

    def needed(self) -> tuple[float, ...]:
        """Return the probability that each radius needs."""
        return tuple(self.noise.probability(radius) for radius in self.radii)

    def boundaries(self, total_variation: float) -> Boundaries:
        """Return the boundaries at which each radius is certified and refuted.

        Args:
            total_variation: distance between drawn and ideal noise of the whole image.
        """
        return boundaries(
            TEST,
            self.needed(),
            margin=total_variation,
            alpha=self.image_alpha,
            beta=self.image_beta,
            cap=self.max_estimation,
        )

    def leaks(self, total_variation: float) -> tuple[tuple[float, float], ...]:
        """For each radius the exact chances (a', b') that an image next to it is certified, or refuted, wrongly."""
        bounds = self.boundaries(total_variation)
        found = []
        for place, needed in enumerate(self.needed()):
            high, low = min(1.0, needed + total_variation), max(0.0, needed - total_variation)
            certified = stopping(high, upper=bounds.upper[place]).certification if high < 1 else 0.0
            refuted = stopping(low, lower=bounds.lower[place]).refutation if low > 0 else 0.0
            found.append((min(certified, self.image_alpha), min(refuted, self.image_beta)))
        return tuple(found)


def cheapest(test: ImageTest, *, at_least: float, alpha_total: float) -> ImageTest:
    """The same test with the levels at which showing the claim is expected to cost the fewest queries.

    A large level decides an image with few draws, but lets more false certificates into the count, so that more images
    are needed: about log(1 / alpha) / KL(s, q + a' (1 - q)) where a share s gets certified (Wald 1945). Both
    factors are computed for a reference population, in which the share (1 + q) / 2 is good and the distances to the
    radius are half-normal, with 4 standard deviations of the noise. The guarantee rests on neither.

    Args:
        test: with any levels.
        at_least: the share q.
        alpha_total: risk of showing what is false.
    """
    needed = test.needed()[-1]
    if not 0 < needed < MOST:
        return replace(test, image_alpha=min(0.1, alpha_total), image_beta=0.05)
    levels = _cheapest(needed, test.max_estimation, at_least, alpha_total)
    return replace(test, image_alpha=levels[0], image_beta=levels[1])


@lru_cache(maxsize=32)
def _cheapest(needed: float, cap: int, at_least: float, alpha_total: float) -> tuple[float, float]:
    good = (1 + at_least) / 2
    rates, weights = reference(needed, good)
    costs = {}
    for alpha in _ALPHAS:
        for beta in _BETAS:
            bounds = boundaries(TEST, (needed,), margin=0.0, alpha=alpha, beta=beta, cap=cap)
            upper, lower = bounds.upper[0], bounds.lower[0]
            leak = stopping(needed, upper=upper).certification
            ends = [stopping(rate, upper=upper, lower=np.minimum(lower, upper - 1)) for rate in rates.tolist()]
            certified = float(weights @ [end.certification for end in ends])
            draws = float(weights @ [end.mean for end in ends])
            costs[alpha, beta] = draws * images_to_show(certified, at_least, leak, alpha_total)
    return min(costs, key=lambda levels: costs[levels])


def images_to_show(certified: float, at_least: float, leak: float, alpha_total: float) -> float:
    """Wald's approximation of the images that showing a claim takes; infinite where it is not to be expected.

    Args:
        certified: share of the images that get certified.
        at_least: the share q of the claim.
        leak: chance that an image that is not good gets certified.
        alpha_total: risk of showing what is false.
    """
    null = at_least + leak * (1 - at_least)
    if certified <= null:
        return math.inf
    return math.log(1 / alpha_total) / divergence(certified, null)


def divergence(one: float, other: float) -> float:
    """KL(Bernoulli(one), Bernoulli(other)) in nats."""
    return float(xlogy(one, one / other) + xlogy(1 - one, (1 - one) / (1 - other)))


def reference(needed: float, good: float) -> tuple[Floats, Floats]:
    """Rates (k,) of the reference population, and their shares."""
    away = _SPREAD * ndtri((1 + (np.arange(_KINDS) + 0.5) / _KINDS) / 2)
    place = ndtri(needed)
    rates = np.concatenate([ndtr(place + away), ndtr(place - away)]).clip(1 - MOST, MOST)
    return rates, np.repeat([good / _KINDS, (1 - good) / _KINDS], _KINDS)
