"""The Beta mixture with its prior cut off at the null: nothing is bet on what would not be worth proving."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincc, betaln

from bbsmooth.certification.sequences.mixtures import mixture_boundary, mixture_lower
from bbsmooth.certification.sequences.protocol import Boundary, Floats


@dataclass(frozen=True, slots=True)
class TruncatedBetaBinomial:
    """Rejects p <= p_null where the wealth under a Beta prior restricted to p > p_null reaches 1 / alpha.

    W_t = B(a + S, b + t - S) P[Beta(a + S, b + t - S) > p_null] /
          (B(a, b) P[Beta(a, b) > p_null] p_null^S (1 - p_null)^(t - S)),
    the mean likelihood ratio over the restricted prior: a martingale with mean 1 at p = p_null, and, because every
    ratio in it grows with S, one that grows with S.

    Args:
        a: of the prior.
        b: of the prior.
    """

    a: float = 0.5
    b: float = 0.5

    @property
    def name(self) -> str:
        """Names the test."""
        return f"truncated-beta-binomial({self.a},{self.b})"

    def mirrored(self) -> TruncatedBetaBinomial:
        """The same test of the rate of failures: the prior with `a` and `b` exchanged."""
        return TruncatedBetaBinomial(self.b, self.a)

    def boundary(self, p_null: float, *, alpha: float, cap: int) -> Boundary:
        """See `OneSidedTest`. Where the share of successes lies below p_null every ratio is under 1."""
        return mixture_boundary(self, p_null, math.log(1 / alpha), cap)

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """See `OneSidedTest`.

        As p_null grows, log W falls by (S - t p_null) / (p_null (1 - p_null)) and rises by at most the prior's hazard
        rate. Where W >= 1 / alpha the first is the larger, so that the rejected rates are an interval from 0.
        """
        return mixture_lower(self, successes, trials, lambda p_null: math.log(1 / alpha))

    def log_wealth(self, successes: NDArray[np.int64], trials: NDArray[np.int64], p_null: float) -> Floats:
        """Logarithm of W, elementwise; -inf where the posterior above `p_null` is too small for a float."""
        failures = trials - successes
        a, b = self.a + successes, self.b + failures
        with np.errstate(divide="ignore"):
            inside = np.log(betaincc(a, b, p_null)) - math.log(betaincc(self.a, self.b, p_null))
        evidence = betaln(a, b) - betaln(self.a, self.b) + inside
        return np.asarray(evidence - successes * math.log(p_null) - failures * math.log1p(-p_null))
