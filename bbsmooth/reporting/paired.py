"""Paired comparison of two runs on the same images: does one certify more of them?

Test and interval are one procedure, so that they never disagree: the interval holds the differences that the test does
not reject. Both are exact, for any number of images: the p-value is the largest over the share of images on which the
runs differ, which nobody knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import bdtrc, gammaln, ndtri, xlog1py, xlogy

METHOD = "exact unconditional McNemar test (Suissa and Shuster 1991), interval by inverting it"
"""Name of test and interval, for tables."""

_PRECISION = 1e-4
"""Of the interval's ends, which are rounded outwards by it: a hundredth of a percentage point."""

_GRID = 32
_NEGLIGIBLE = 1e-10

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Paired:
    """A difference of two shares over the same images.

    Attributes:
        images: compared.
        only_first: images that count for the first run alone.
        only_second: for the second alone.
        difference: first minus second share.
        low: lower end of the interval for the difference in the population of images.
        high: upper end.
        p_value: of the test that both shares are equal, two-sided; at most 1 - confidence if and only if the interval
            leaves out 0.
    """

    images: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p_value: float


def compare(first: Sequence[bool], second: Sequence[bool], *, confidence: float) -> Paired:
    """Compare image by image.

    Args:
        first: whether each image counts for the first run.
        second: the same of the second.
        confidence: of the interval.

    Raises:
        ValueError: no images, or not equally many.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"a paired comparison needs the same images, got {len(first)} and {len(second)}")
    only_first = sum(one and not other for one, other in zip(first, second, strict=True))
    only_second = sum(other and not one for one, other in zip(first, second, strict=True))
    low, high, p_value = exact_interval(only_first, only_second, len(first), confidence=confidence)
    return Paired(
        images=len(first),
        only_first=only_first,
        only_second=only_second,
        difference=(only_first - only_second) / len(first),
        low=low,
        high=high,
        p_value=p_value,
    )


@lru_cache(maxsize=4096)
def exact_interval(only_first: int, only_second: int, images: int, *, confidence: float) -> tuple[float, float, float]:
    """Both ends of the interval for the difference of two shares, and the p-value of "no difference".

    Outcomes are ordered by the score statistic (Tango, Statistics in Medicine 17, 1998), and each side has half of the
    level: an equal-tailed, exact version of Tango's interval and of McNemar's test (Suissa, Shuster, Biometrics 47,
    1991).
    """
    level = (1 - confidence) / 2
    above = one_sided(only_first, only_second, images, 0.0)
    below = one_sided(only_second, only_first, images, 0.0)
    low = _lower(only_first, only_second, images, level, positive=above <= level)
    high = -_lower(only_second, only_first, images, level, positive=below <= level)
    return low, high, min(1.0, 2 * min(above, below))


def one_sided(only_first: int, only_second: int, images: int, delta: float) -> float:
    """The p-value of "first minus second share is at most `delta`": the largest over the share that differs."""
    observed = float(score(np.array(only_first), np.array(only_second), images, delta))
    fewest = _fewest(observed, images, delta)

    def tail(angle: float) -> float:
        """Probability of an outcome at least as extreme, where the runs differ on the share sin^2(angle)."""
        share = math.sin(angle) ** 2
        first = min(1.0, max(0.0, (share + delta) / (2 * share)))
        middle, spread = images * share, 8 * math.sqrt(images * share * (1 - share)) + 8
        different = np.arange(max(0, math.floor(middle - spread)), min(images, math.ceil(middle + spread)) + 1)
        wins = fewest[different]
        chances = np.where(wins > 0, bdtrc(np.maximum(wins - 1.0, 0.0), different, first), 1.0)
        chances[wins > different] = 0.0
        return float(_binomial(different, images, share) @ chances) + _NEGLIGIBLE

    angles = np.linspace(math.asin(math.sqrt(max(abs(delta), 1e-9))), math.pi / 2, _GRID)
    found = [tail(angle) for angle in angles]
    best = int(np.argmax(found))
    around = angles[max(0, best - 1)], angles[min(_GRID - 1, best + 1)]
    finer = minimize_scalar(lambda angle: -tail(angle), bounds=around, method="bounded", options={"maxiter": 10})
    return min(1.0, max(found[best], -float(finer.fun)))


def _binomial(successes: NDArray[np.int64], trials: int, chance: float) -> Numbers:
    logarithm = gammaln(trials + 1) - gammaln(successes + 1) - gammaln(trials - successes + 1)
    found: Numbers = np.exp(logarithm + xlogy(successes, chance) + xlog1py(trials - successes, -chance))
    return found


def score(only_first: Numbers, only_second: Numbers, images: int, delta: float) -> Numbers:
    """Score statistic: standard errors by which the estimate exceeds `delta`, nuisance at its likeliest (Tango)."""
    linear = (2 * images - only_first + only_second) * delta - only_first - only_second
    constant = -only_second * delta * (1 - delta)
    root = np.sqrt(np.maximum(0.0, linear**2 - 8 * images * constant))
    variance = images * ((root - linear) / (2 * images) + delta * (1 - delta))
    excess = only_first - only_second - images * delta
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Numbers = np.where(variance > 1e-12, excess / np.sqrt(np.maximum(variance, 1e-300)), 0.0)
    sure = (variance <= 1e-12) & (np.abs(excess) > 1e-9)
    return np.where(sure, np.copysign(np.inf, excess), found)


def _fewest(observed: float, images: int, delta: float) -> NDArray[np.int64]:
    """For each number of images that differ, the fewest for the first run that are as extreme; one more where none."""
    different = np.arange(images + 1)
    low, high = np.zeros_like(different), different + 1
    for _ in range(images.bit_length() + 1):
        middle = (low + high) // 2
        wins = np.minimum(middle, different)
        extreme = (score(wins, different - wins, images, delta) >= observed - 1e-9) | (middle > different)
        low, high = np.where(extreme, low, np.minimum(middle + 1, high)), np.where(extreme, middle, high)
    return high


def _lower(only_first: int, only_second: int, images: int, level: float, *, positive: bool) -> float:
    """The largest difference that is rejected as too small, to `_PRECISION`; above 0 where "no more" is rejected."""
    estimate = (only_first - only_second) / images
    least, most = (0.0, estimate) if positive else (-1.0, min(0.0, estimate))

    def rejected(delta: float) -> bool:
        return one_sided(only_first, only_second, images, delta) <= level

    guess = min(most, max(least, _score_bound(only_first, only_second, images, level)))
    step = max(_PRECISION, (most - guess) / 16)
    low, high = max(least, guess - step), most
    while low > least and not rejected(low):
        step *= 2
        low, high = max(least, low - step), low
    if high == most and (nearer := guess + step) < most and not rejected(nearer):
        high = nearer
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low or (float(np.nextafter(0.0, 1.0)) if positive else 0.0)


def _score_bound(only_first: int, only_second: int, images: int, level: float) -> float:
    """Lower end of Tango's asymptotic interval: the search for the exact one starts there."""
    estimate, z = (only_first - only_second) / images, float(ndtri(1 - level))
    if estimate <= -1:
        return -1.0

    def excess(delta: float) -> float:
        return min(1e9, float(score(np.array(only_first), np.array(only_second), images, delta))) - z

    return float(brentq(excess, -1.0, estimate)) if excess(-1.0) > 0 > excess(estimate) else -1.0
