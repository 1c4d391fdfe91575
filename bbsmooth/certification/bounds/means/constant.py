"""Betting with constant bets: a bound that no order of the values changes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logit

from bbsmooth.certification.bounds.means.protocol import check_values
from bbsmooth.certification.sequences.solving import SLACK, last_rejected

_ODDS = np.linspace(-8, 6, 57)  # logarithms of the odds of the shares
_SHARES = expit(_ODDS)
_SPREAD, _SHIFT = 1.0, 0.75  # of the weights around the share that suits a standard deviation equal to the mean
_EVEN = 0.2  # of the weight is spread evenly, in case that the values are quite different


@dataclass(frozen=True, slots=True)
class ConstantBets:
    """Rejects every m against which gamblers with constant bets, who start with 1 together, come to own 1 / alpha.

    The gambler with share s multiplies his money by 1 + s (X / m - 1) at each value X. If the values are independent
    with a mean of at most m, the factors have means of at most 1 and so has their product; the sum over all gamblers,
    weighted beforehand, exceeds 1 / alpha with probability at most alpha (Markov). Products do not know in which order
    their factors came: the bound is the same for any order of the same values, so that it also holds where independent
    values were sorted afterwards. For draws without replacement from a finite set it holds as well: they are
    negatively associated and the factors increase with X, so that the mean of the product is at most the product of
    the means (Joag-Dev & Proschan, Annals of Statistics 1983).

    That is the wealth of a universal portfolio, but for its prior (Cover 1991; Orabona & Jun, IEEE Transactions on
    Information Theory 2024). The weights suit a number of values that is fixed in advance: the best share is near
    sqrt(2 log(1 / alpha) / n) m / deviation. Every factor falls as m grows, so that what is rejected is an interval
    from 0; at the sample's own mean no gambler has won anything, so that the bound lies below it.
    """

    @property
    def name(self) -> str:
        """Name of the bound."""
        return "constant-bets"

    def lower(self, values: NDArray[np.float64], *, alpha: float) -> float:
        """Lower bound on the mean, as `MeanBound` says; the order of the values does not matter."""
        check_values(values, alpha)
        if not values.any():
            return 0.0
        kinds, counts = np.unique(values, return_counts=True)
        weights = _log_weights(len(values), alpha)

        def rejects(mean: float) -> bool:
            money = np.log1p(_SHARES[:, None] * (kinds / mean - 1)) @ counts + weights
            return float(np.logaddexp.reduce(money)) >= math.log(1 / alpha) + SLACK

        return last_rejected(rejects, highest=float(kinds @ counts) / len(values))


def _log_weights(trials: int, alpha: float) -> NDArray[np.float64]:
    """Logarithms of what each gambler starts with; they start with 1 together."""
    centre = logit(min(0.5, math.sqrt(2 * math.log(1 / alpha) / trials))) + _SHIFT
    near = log_softmax(-0.5 * ((_ODDS - centre) / _SPREAD) ** 2)
    weights: NDArray[np.float64] = np.logaddexp(near + math.log(1 - _EVEN), math.log(_EVEN / len(_ODDS)))
    return weights
