"""From a rejection rule to its boundary, and to its lower bound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bbsmooth.certification.sequences.protocol import Boundary, Floats

SLACK = 1e-6
"""Added to every threshold on a logarithm, far above its rounding error, so that rounding never helps to reject."""

_STEPS = 60


def first_successes(
    statistic: Callable[[NDArray[np.int64], NDArray[np.int64]], Floats],
    threshold: float,
    *,
    lowest: Boundary,
    highest: Boundary,
) -> Boundary:
    """For each place t the smallest s from `lowest` to `highest` with statistic(s, t) >= `threshold`.

    Args:
        statistic: of successes s (k,) at places t (k,); non-decreasing in s between the two.
        threshold: to be reached, with `SLACK`.
        lowest: (places,), where the search begins.
        highest: (places,), the answer where there is none; its own statistic is not looked at.
    """
    low, high = lowest.copy(), highest.copy()
    places = np.arange(len(low))
    while (open_ := np.flatnonzero(low < high)).size:
        middle = (low[open_] + high[open_]) // 2
        reached = statistic(middle, places[open_]) >= threshold + SLACK
        high[open_[reached]] = middle[reached]
        low[open_[~reached]] = middle[~reached] + 1
    return high


def never(cap: int) -> Boundary:
    """The boundary that is never reached."""
    return np.arange(1, cap + 2)


def above(p_null: float, cap: int) -> Boundary:
    """The fewest successes (cap + 1,) whose share lies above `p_null`."""
    shares: Boundary = np.floor(np.arange(cap + 1) * p_null).astype(np.int64)
    return shares + 1


def last_rejected(rejects: Callable[[float], bool], *, highest: float) -> float:
    """The supremum, rounded down, of the rates in (0, `highest`) that are rejected; 0 where none is.

    Args:
        rejects: whether a rate is rejected; true below some rate and false above it.
        highest: at or above that rate.
    """
    low, high = 0.0, highest
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if rejects(middle):
            low = middle
        else:
            high = middle
    return low
