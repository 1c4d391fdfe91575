"""The one-sided confidence bound for the mean of a Bernoulli variable, for a number of trials fixed in advance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import betaincinv


@dataclass(frozen=True, slots=True)
class ClopperPearson:
    """The exact bound for a fixed number of trials. Not valid if `trials` was chosen while looking at the outcomes."""

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """The rate at which `successes` or more of `trials` have probability `alpha`. Clopper & Pearson 1934.

        Raises:
            ValueError: counts that cannot be, or `alpha` outside (0, 1).
        """
        _check(successes, trials, alpha)
        if successes == 0:
            return 0.0
        bound = float(betaincinv(successes, trials - successes + 1, alpha))  # scipy.stats takes seconds to import
        return 0.0 if math.isnan(bound) else bound  # NaN: too small to be found, below 1e-18

    def upper(self, successes: int, trials: int, *, alpha: float) -> float:
        """The mirror image of `lower`: a value that lies below the true rate with probability at most `alpha`."""
        return 1.0 - self.lower(trials - successes, trials, alpha=alpha)


def _check(successes: int, trials: int, alpha: float) -> None:
    if not (trials > 0 and 0 <= successes <= trials):
        raise ValueError(f"a bound needs 0 <= successes <= trials and trials > 0, got {successes} of {trials}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
