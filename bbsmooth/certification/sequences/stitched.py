"""A stitched sub-Gaussian boundary: closed form, optimal rate, no use of the exact binomial law; for comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bbsmooth.certification.sequences.protocol import Boundary
from bbsmooth.certification.sequences.solving import SLACK, last_rejected, never


@dataclass(frozen=True, slots=True)
class Stitched:
    """Rejects p <= p_null where S - t p_null >= 1.7 sqrt(v t (log log(2 t) + 0.72 log(5.2 / alpha))).

    Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (Annals of
    Statistics 2021), equation (2), one side. Successes exceed their mean no more than a Gaussian of variance v does:
    v = p (1 - p) for p >= 1/2 (Hoeffding 1963, equation 2.2), below it (1 - 2 p) / (2 log((1 - p) / p)) (Kearns & Saul
    1998).
    """

    @property
    def name(self) -> str:
        """Names the test."""
        return "stitched"

    def mirrored(self) -> Stitched:
        """The same test of the rate of failures: this one."""
        return self

    def boundary(self, p_null: float, *, alpha: float, cap: int) -> Boundary:
        """The fewest successes (cap + 1,) at which p <= `p_null` is rejected after t = 0 ... `cap` draws."""
        trials = np.arange(1, cap + 1)
        rate = np.log(np.log(2 * trials)) + 0.72 * math.log(5.2 / alpha)
        least = trials * p_null + 1.7 * np.sqrt(_variance(p_null) * trials * rate) + SLACK
        boundary = never(cap)
        boundary[1:] = np.minimum(np.ceil(least), boundary[1:])
        return boundary

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """See `OneSidedTest`. The excess S - t p_null - 1.7 sqrt(v ...) falls as p_null grows to S / t."""
        if successes == 0:
            return 0.0
        rate = math.log(math.log(2 * trials)) + 0.72 * math.log(5.2 / alpha)

        def rejects(p_null: float) -> bool:
            return successes >= trials * p_null + 1.7 * math.sqrt(_variance(p_null) * trials * rate) + SLACK

        return last_rejected(rejects, highest=successes / trials)


def _variance(p: float) -> float:
    if p >= 0.5:
        return p * (1 - p)
    return (1 - 2 * p) / (2 * math.log((1 - p) / p)) if p < 0.5 - 1e-9 else 0.25
