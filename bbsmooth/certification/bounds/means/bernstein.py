"""The empirical Bernstein bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bbsmooth.certification.bounds.means.protocol import check_values


@dataclass(frozen=True, slots=True)
class EmpiricalBernstein:
    """The mean less sqrt(2 V log(2 / alpha) / n) and 7 log(2 / alpha) / (3 (n - 1)), V the sample variance.

    Maurer & Pontil (COLT 2009), Theorem 4. For a number of values fixed in advance.
    """

    @property
    def name(self) -> str:
        """Name of the bound."""
        return "empirical-bernstein"

    def lower(self, values: NDArray[np.float64], *, alpha: float) -> float:
        """Lower bound on the mean, as `MeanBound` says; 0 for one value, which proves nothing."""
        check_values(values, alpha)
        if len(values) < 2:
            return 0.0
        level, trials = math.log(2 / alpha), len(values)
        width = math.sqrt(2 * float(values.var(ddof=1)) * level / trials) + 7 * level / (3 * (trials - 1))
        return max(0.0, float(values.mean()) - width)
