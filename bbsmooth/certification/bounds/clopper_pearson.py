"""The one-sided confidence bound for the mean of a Bernoulli variable, for a number of trials fixed in advance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import betaincinv

SMALLEST = 1e-150
"""What is smaller is not left to SciPy, whose 1.17 takes tails of 1e-254 for 0: `findings/deep-tails.sh`."""


@dataclass(frozen=True, slots=True)
class ClopperPearson:
    """The exact bound for a fixed number of trials. Not valid if `trials` was chosen while looking at the outcomes."""

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """The rate at which `successes` or more of `trials` have probability `alpha`. Clopper & Pearson 1934.

        Below `SMALLEST` one at which they have less, by Chernoff's bound.

        Raises:
            ValueError: counts that cannot be, or `alpha` outside (0, 1).
        """
        _check(successes, trials, alpha)
        if successes == 0:
            return 0.0
        if alpha < SMALLEST:
            return _chernoff(successes, trials, alpha)
        bound = float(betaincinv(successes, trials - successes + 1, alpha))  # scipy.stats takes seconds to import
        return 0.0 if math.isnan(bound) else bound  # NaN: too small to be found, below 1e-18

    def upper(self, successes: int, trials: int, *, alpha: float) -> float:
        """The mirror image of `lower`: a value that lies below the true rate with probability at most `alpha`."""
        return 1.0 - self.lower(trials - successes, trials, alpha=alpha)


def _chernoff(successes: int, trials: int, alpha: float) -> float:
    """The rate p at which exp(-trials KL(share || p)), at least P[X >= successes], is `alpha` (Chernoff 1952)."""
    from bbsmooth.certification.sequences.solving import SLACK, last_rejected  # whose package knows this module

    share = successes / trials

    def rejected(p: float) -> bool:
        divergence = share * math.log(share / p)
        if share < 1:
            divergence += (1 - share) * (math.log1p(-share) - math.log1p(-p))
        return trials * divergence >= SLACK - math.log(alpha)

    return last_rejected(rejected, highest=share)


def _check(successes: int, trials: int, alpha: float) -> None:
    if not (trials > 0 and 0 <= successes <= trials):
        raise ValueError(f"a bound needs 0 <= successes <= trials and trials > 0, got {successes} of {trials}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
