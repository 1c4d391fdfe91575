"""The protocol of bounds on means."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class MeanBound(Protocol):
    """A lower bound on the mean of independent values in [0, 1] that share their mean."""

    @property
    def name(self) -> str:
        """Names the bound and its settings."""
        ...

    def lower(self, values: NDArray[np.float64], *, alpha: float) -> float:
        """A number that lies above the true mean with probability at most `alpha`; 0 where nothing is proven.

        Args:
            values: (n,) in the order in which they were drawn.
            alpha: probability of being too high.

        Raises:
            ValueError: no value, a value outside [0, 1] or not a number, or `alpha` outside (0, 1).
        """
        ...


def check_values(values: NDArray[np.float64], alpha: float) -> None:
    """Refuse what no bound holds for.

    Raises:
        ValueError: as `MeanBound.lower` says.
    """
    if not (len(values) and values.min() >= 0 and values.max() <= 1):  # also for NaN
        raise ValueError(f"a bound on a mean needs values in [0, 1], got {len(values)} of which some are not")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
