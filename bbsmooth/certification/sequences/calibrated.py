"""A test whose threshold is as low as the number of draws allows: exact calibration for a known cap."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bbsmooth.certification.sequences.beta_binomial import BetaBinomial
from bbsmooth.certification.sequences.exact import stopping
from bbsmooth.certification.sequences.protocol import Boundary, Wealth
from bbsmooth.certification.sequences.solving import above, first_successes, never

_MIXTURE = BetaBinomial(0.8, 0.8)
_CLOSE = 0.998  # of alpha; the lattice is too coarse for more where the cap is small
_ROUNDS = 12
_LOWEST = math.log(0.05)  # the threshold is sought between 0.05 / alpha and 1 / alpha


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Rejects p <= p_null where S / t > p_null and W_t >= c, with c such that the error within the cap is alpha.

    Ville's 1 / alpha pays for all draws to infinity and for the part of the wealth that overshoots. With a cap N known
    beforehand the probability at p = p_null that W ever reaches c within N draws is computed exactly (`exact`), and the
    smallest c found for which it is at most alpha is used. Valid up to the cap and no further.

    Args:
        wealth: whose threshold is calibrated. The Beta(0.8, 0.8) mixture needs at most 1.24 times the lower bound on
            mean draws over the grid of `experiments/sequential`; Krichevsky-Trofimov needs fewer at rates next to 1
            and more next to 1/2.
    """

    wealth: Wealth = _MIXTURE

    @property
    def name(self) -> str:
        """Names the test."""
        return f"calibrated-{self.wealth.name}"

    def mirrored(self) -> Calibrated:
        """The same test of the rate of failures: the one calibrated for the mirrored wealth."""
        return Calibrated(self.wealth.mirrored())

    def boundary(self, p_null: float, *, alpha: float, cap: int) -> Boundary:
        """See `OneSidedTest`. The error is at most `alpha` in floating-point arithmetic too, rounded up.

        About six passes of dynamic programming: under a second for a cap of 10,000.
        """
        ville = math.log(1 / alpha)

        def at(threshold: float, lowest: Boundary, highest: Boundary) -> Boundary:
            return first_successes(
                lambda successes, trials: self.wealth.log_wealth(successes, trials, p_null),
                threshold,
                lowest=lowest,
                highest=highest,
            )

        safe = at(ville, above(p_null, cap).clip(max=never(cap)), never(cap))
        risky = at(ville + _LOWEST, above(p_null, cap).clip(max=safe), safe)
        low, high = ville + _LOWEST, ville  # error above alpha, error at most alpha
        best, error = safe, stopping(p_null, upper=safe).certification
        threshold = high
        for _ in range(_ROUNDS):
            if error > _CLOSE * alpha and error <= alpha:
                break
            threshold += math.log(error / (0.999 * alpha)) if error > 0 else -math.inf
            if not low < threshold < high:
                threshold = (low + high) / 2
            tried = at(threshold, risky, safe)
            error = stopping(p_null, upper=tried).certification
            if error <= alpha:
                best, high = tried, threshold
            else:
                low = threshold
        return best

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """See `OneSidedTest`: none, because every null has a threshold of its own."""
        return 0.0
