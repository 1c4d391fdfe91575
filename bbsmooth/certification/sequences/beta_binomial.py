"""The Krichevsky-Trofimov mixture: the average likelihood ratio over a Beta prior, on both sides of the null."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from bbsmooth.certification.sequences.mixtures import mixture_boundary, mixture_lower
from bbsmooth.certification.sequences.protocol import Boundary, Floats


@dataclass(frozen=True, slots=True)
class BetaBinomial:
    """Rejects p <= p_null where the share of successes lies above p_null and the wealth reaches 1 / alpha.

    W_t = B(a + S, b + t - S) / (B(a, b) p_null^S (1 - p_null)^(t - S)), the mean of the likelihood ratio
    over p ~ Beta(a, b), is a martingale with mean 1 at p = p_null (Ville 1939; Robbins 1970). a = b = 1/2 is the prior
    of Krichevsky & Trofimov (1981). What of the prior lies below p_null is wasted; see `TruncatedBetaBinomial`.

    More successes never undo a rejection: with w the prior's mass above p_null, W = w W_above + (1 - w) W_below. Where
    S / t > p_null every ratio in W_below is at most 1, so W >= 1 / alpha implies w W_above >= 1 / alpha - (1 - w), and
    so W_above >= 1 / alpha. W_above grows with S, and is itself a martingale with mean 1 at p = p_null.

    Args:
        a: of the prior.
        b: of the prior.
    """

    a: float = 0.5
    b: float = 0.5

    @property
    def name(self) -> str:
        """Names the test."""
        return f"beta-binomial({self.a},{self.b})"

    def mirrored(self) -> BetaBinomial:
        """The same test of the rate of failures: the prior with `a` and `b` exchanged."""
        return BetaBinomial(self.b, self.a)

    def boundary(self, p_null: float, *, alpha: float, cap: int) -> Boundary:
        """The fewest successes (cap + 1,) at which p <= `p_null` is rejected after t = 0 ... `cap` draws."""
        return mixture_boundary(self, p_null, math.log(1 / alpha), cap)

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """The largest rate below which every p_null is rejected by these counts."""
        return mixture_lower(self, successes, trials, lambda p_null: math.log(1 / alpha))

    def log_wealth(self, successes: NDArray[np.int64], trials: NDArray[np.int64], p_null: float) -> Floats:
        """Logarithm of W, elementwise."""
        failures = trials - successes
        evidence = betaln(self.a + successes, self.b + failures) - betaln(self.a, self.b)
        return np.asarray(evidence - successes * math.log(p_null) - failures * math.log1p(-p_null))
