"""Boundaries for both sides, each computed once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bbsmooth.certification.sequences.protocol import Boundary, OneSidedTest
from bbsmooth.certification.sequences.solving import never


@lru_cache(maxsize=64)
def certifying(test: OneSidedTest, p_null: float, *, alpha: float, cap: int) -> Boundary:
    """The fewest successes (cap + 1,) at which `test` rejects p <= `p_null` at level `alpha`; t + 1 is never.

    Raises:
        ValueError: `alpha` outside (0, 1), or `cap` below 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    if cap < 1:
        raise ValueError(f"a test needs at least 1 draw, got {cap}")
    if p_null >= 1:
        boundary = never(cap)
    elif p_null <= 0:
        boundary = np.ones(cap + 1, dtype=np.int64)  # one success disproves p <= 0
    else:
        boundary = test.boundary(p_null, alpha=alpha, cap=cap)
    boundary.flags.writeable = False
    return boundary


@lru_cache(maxsize=64)
def refuting(test: OneSidedTest, p_null: float, *, beta: float, cap: int) -> Boundary:
    """The most successes (cap + 1,) at which p >= `p_null` is rejected at level `beta`; -1 is never.

    The mirror image of `certifying`: p >= `p_null` says that the rate of failures is at most 1 - p_null.
    """
    boundary = np.arange(cap + 1) - certifying(test.mirrored(), 1 - p_null, alpha=beta, cap=cap)
    boundary.flags.writeable = False
    return boundary
