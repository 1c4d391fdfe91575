"""Betting against every candidate for the mean: the tightest bound here, and valid at all times."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bbsmooth.certification.bounds.means.protocol import check_values
from bbsmooth.certification.sequences.solving import SLACK, last_rejected

_MOST = 0.99  # of what a gambler owns; who bets all is ruined by one 0
_SHARES = expit(np.linspace(-5, 5, 12))


@dataclass(frozen=True, slots=True)
class MeanBetting:
    """Rejects every m against which a gambler who starts with 1 has come to own 1 / alpha.

    The gambler's money is multiplied by 1 + bet (X - m) at each value X, with a bet in [0, 1 / m) fixed before it. If
    the mean is at most m that is a supermartingale, so it ever reaches 1 / alpha with probability at most alpha (Ville
    1939): the bound may be looked at after every value. Waudby-Smith & Ramdas (JRSS B 2024), Theorem 3, one-sided.

    Half of the money follows their predictable plug-in bet sqrt(2 log(1 / alpha) / (horizon V)), V the variance of the
    values before; the other half is spread over bets of fixed shares of 1 / m, which do not depend on a first guess of
    V. Every factor falls as m grows, so that what is rejected is an interval from 0.

    Args:
        horizon: number of values for which the plug-in bet is tuned; any other is valid too.

    Raises:
        ValueError: no value.
    """

    horizon: int

    def __post_init__(self) -> None:
        """Refuse to bet on nothing."""
        if self.horizon < 1:
            raise ValueError(f"a bound on a mean needs at least 1 value, got {self.horizon}")

    @property
    def name(self) -> str:
        """Names the bound and its horizon."""
        return f"betting({self.horizon})"

    def lower(self, values: NDArray[np.float64], *, alpha: float) -> float:
        """Lower bound on the mean, as `MeanBound` says."""
        check_values(values, alpha)
        if not values.any():
            return 0.0
        bets = self._bets(values, alpha)

        def rejects(mean: float) -> bool:
            predictable = np.log1p(np.minimum(bets, _MOST / mean) * (values - mean)).sum()
            spread = np.log1p(_SHARES[:, None] * (values / mean - 1)).sum(1) - math.log(len(_SHARES))
            money = float(np.logaddexp.reduce([predictable, *spread])) - math.log(2)
            return money >= math.log(1 / alpha) + SLACK

        return last_rejected(rejects, highest=float(values.mean()))

    def _bets(self, values: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
        """The plug-in bet on each value, from those before it."""
        seen = np.arange(2, len(values) + 2)
        means = (0.5 + np.cumsum(values)) / seen
        variances = (0.25 + np.cumsum((values - means) ** 2)) / seen
        before = np.concatenate([[0.25], variances[:-1]])
        bets: NDArray[np.float64] = np.sqrt(2 * math.log(1 / alpha) / (self.horizon * before))
        return bets
