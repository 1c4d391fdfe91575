"""When an image next to the radius is set aside, so that others are asked about first.

Images whose rate lies next to p_R take most of the draws, and the answer can often do without them. A *level* of
pausing says at which counts an image is set aside; it is looked at again, from where it was, once the claims go on to
the next level. At the last level nothing is set aside. Which images are asked about when costs no risk: both statements
are about the counts that the images would have in the end, see the package.

A level has a price r of one draw. The region is the solution of an optimal stopping problem for it (Chow, Robbins,
Siegmund 1971), by dynamic programming over (draws t, successes s):

    V(t, s) = 1 where s certifies, `_REFUTED` where it refutes, else max(0, E V(t + 1, .) - r),

with the expectation under the reference population of `images`. An image is set aside where V = 0. The guarantee rests
neither on that population nor on the price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlog1py, xlogy

from bbsmooth.certification.acceptance.images import MOST, ImageTest, reference
from bbsmooth.certification.methods.decisions import Boundaries

PRICES = (0.005, 0.002, 0.0)
"""Price of a draw at each level, in images; the last one sets none aside."""

LAST = len(PRICES) - 1
_REFUTED = 0.5  # value of a refuted image, in certified ones: a claim is asked about by who expects it to hold
_HORIZON = 2  # draws, in what an image is worth, after which it is set aside in any case

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Counts at which an image is set aside.

    Attributes:
        bounds: of the test.
        low: (K, cap + 1) fewest successes, by radius and draws.
        high: (K, cap + 1) most successes; less than `low` where it is not set aside.
    """

    bounds: Boundaries
    low: Counts
    high: Counts

    def first(self, draws: int, counts: Counts) -> int | None:
        """The first place in `counts`, the successes (n,) after draws + 1, draws + 2, ..., at which it is set aside.

        None where there is none. With several radii those that are certified or refuted by these counts do not matter.
        """
        span = slice(draws + 1, draws + 1 + len(counts))
        aside = (self.low[:, span] <= counts) & (counts <= self.high[:, span])
        decided = (counts >= self.bounds.upper[:, span]) | (counts <= self.bounds.lower[:, span])
        there = np.flatnonzero((aside | decided).all(0) & aside.any(0))
        return int(there[0]) if len(there) else None

    def earliest(self, draws: int, successes: int, most: int) -> int:
        """The fewest further draws, of `most`, after which it could be set aside; `most` where it cannot be before."""
        ahead = np.arange(1, most + 1)
        span = slice(draws + 1, draws + 1 + most)
        possible = (self.low[:, span] <= successes + ahead) & (successes <= self.high[:, span])
        possible &= self.low[:, span] <= self.high[:, span]
        there = np.flatnonzero(possible.any(0))
        return int(ahead[there[0]]) if len(there) else most


def region(test: ImageTest, level: int, total_variation: float, *, good: float) -> Region | None:
    """Where images are set aside at a level, None where none is.

    Args:
        test: of one image.
        level: 0 to `LAST`.
        total_variation: distance between drawn and ideal noise of the whole image.
        good: share of the reference population that is good.
    """
    if PRICES[level] == 0:
        return None
    return _region(test, PRICES[level], total_variation, good)


@lru_cache(maxsize=16)
def _region(test: ImageTest, price: float, total_variation: float, good: float) -> Region | None:
    bounds, needed = test.boundaries(total_variation), test.needed()
    if not all(0 < rate < MOST for rate in needed):
        return None
    shape = bounds.upper.shape
    low, high = np.ones(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for place, rate in enumerate(needed):
        low[place], high[place] = _aside(bounds.upper[place], bounds.lower[place], rate, price, good)
    return Region(bounds, low, high)


def _aside(upper: Counts, lower: Counts, needed: float, price: float, good: float) -> tuple[Counts, Counts]:
    """Fewest and most successes (cap + 1,) at which V is 0, between the two boundaries."""
    rates, weights = reference(needed, good)
    cap = len(upper) - 1
    last = min(cap, math.ceil(_HORIZON / price))
    low, high = np.maximum(lower + 1, 0), np.minimum(upper - 1, np.arange(cap + 1))  # beyond the horizon: anything
    value = _ended(np.arange(last + 1), upper[last], lower[last], np.zeros(last + 1))
    for draws in range(last - 1, -1, -1):
        hits = np.arange(draws + 1)
        logs = xlogy(hits[:, None], rates) + xlog1py(draws - hits[:, None], -rates) + np.log(weights)
        odds = np.exp(logs - logs.max(1, keepdims=True))
        chance = (odds @ rates) / odds.sum(1)
        going_on = chance * value[1 : draws + 2] + (1 - chance) * value[: draws + 1] - price
        value = _ended(hits, upper[draws], lower[draws], going_on.clip(min=0.0))
        aside = np.flatnonzero((going_on <= 0) & (hits < upper[draws]) & (hits > lower[draws]))
        low[draws], high[draws] = (aside[0], aside[-1]) if len(aside) else (1, 0)
    return low, high


def _ended(hits: Counts, upper: int, lower: int, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """The value where the test has ended, else what it is."""
    return np.where(hits >= upper, 1.0, np.where(hits <= lower, _REFUTED, value))
