"""Boundary and lower bound of a mixture: where the share of successes lies above the null and its wealth suffices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bbsmooth.certification.sequences.protocol import Boundary, Wealth
from bbsmooth.certification.sequences.solving import SLACK, above, first_successes, last_rejected, never


def mixture_boundary(mixture: Wealth, p_null: float, threshold: float, cap: int) -> Boundary:
    """The boundary of {S / t > p_null and log W >= `threshold`}."""
    return first_successes(
        lambda successes, trials: mixture.log_wealth(successes, trials, p_null),
        threshold,
        lowest=np.minimum(above(p_null, cap), never(cap)),
        highest=never(cap),
    )


def mixture_lower(mixture: Wealth, successes: int, trials: int, threshold: Callable[[float], float]) -> float:
    """The lower bound that belongs to `mixture_boundary`; `threshold` may depend on p_null."""
    if successes == 0:
        return 0.0
    counts = np.array(successes), np.array(trials)
    return last_rejected(
        lambda p_null: float(mixture.log_wealth(*counts, p_null)) >= threshold(p_null) + SLACK,
        highest=successes / trials,
    )
