"""Betting with a predictable plug-in, one-sided."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import betaincc

from bbsmooth.certification.sequences.beta_binomial import BetaBinomial
from bbsmooth.certification.sequences.mixtures import mixture_boundary, mixture_lower
from bbsmooth.certification.sequences.protocol import Boundary

_MIXTURE = BetaBinomial()


@dataclass(frozen=True, slots=True)
class Betting:
    """Rejects p <= p_null where S / t > p_null and the wealth of the plug-in gambler reaches 1 / (2 alpha).

    Voracek, "Treatment of Statistical Estimation Problems in Randomized Smoothing for Adversarial Robustness" (NeurIPS
    2024). Who bets at every draw as if the rate were (S + 1/2) / (t + 1) owns just the Krichevsky-Trofimov mixture W.
    Let w be the prior's mass above p_null and W = w W_above + (1 - w) W_below. Where S / t > p_null every likelihood
    ratio in W_below is at most 1, so W >= w / alpha + (1 - w) implies W_above >= 1 / alpha, which has probability at
    most alpha (Ville). For p_null above 1/2 (by about alpha / 3) that threshold lies below 1 / (2 alpha); where it does
    not, it takes its place.
    """

    @property
    def name(self) -> str:
        """Names the test."""
        return "betting"

    def mirrored(self) -> Betting:
        """The same test of the rate of failures: this one."""
        return self

    def boundary(self, p_null: float, *, alpha: float, cap: int) -> Boundary:
        """The fewest successes (cap + 1,) at which p <= `p_null` is rejected after t = 0 ... `cap` draws."""
        return mixture_boundary(_MIXTURE, p_null, _threshold(p_null, alpha), cap)

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """The largest rate below which every p_null is rejected by these counts."""
        return mixture_lower(_MIXTURE, successes, trials, lambda p_null: _threshold(p_null, alpha))


def _threshold(p_null: float, alpha: float) -> float:
    above = float(betaincc(_MIXTURE.a, _MIXTURE.b, p_null))
    return math.log(max(1 / (2 * alpha), above / alpha + 1 - above))
