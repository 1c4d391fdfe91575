"""One-sided sequential tests of a success rate, as boundaries on the binomial lattice.

A test of p <= p_null looks at the number of successes S_t after every draw t, up to a cap, and rejects as soon as
S_t >= boundary[t]. The chance of ever doing so grows with p (more successes never undo a rejection), so it is enough
that it is at most alpha at p = p_null. It is valid under any stopping rule: whoever stops earlier rejects no more.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Boundary = NDArray[np.int64]
Floats = NDArray[np.float64]


class OneSidedTest(Protocol):
    """A test of p <= p_null against p > p_null, for every p_null in (0, 1)."""

    @property
    def name(self) -> str:
        """Names the test and its settings."""
        ...

    def __hash__(self) -> int:
        """Tests are values: equal ones share their boundaries."""
        ...

    def mirrored(self) -> OneSidedTest:
        """The same test of the rate of failures: what it assumes of successes, for failures."""
        ...

    def boundary(self, p_null: float, *, alpha: float, cap: int) -> Boundary:
        """The fewest successes (cap + 1,) at which p <= `p_null` is rejected after t = 0 ... `cap` draws.

        The probability of reaching it at any t is at most `alpha` for every p <= `p_null`. It is t + 1 where no number
        of successes suffices. `bbsmooth.certification.sequences.certifying` keeps what this computes.
        """
        ...

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """The largest rate below which every p_null is rejected by these counts; 0 where the family has none.

        With probability at least 1 - `alpha` it lies below the true rate after every number of trials, and so do, at
        once, its largest value so far and every p_null that `boundary` has rejected so far at the same `alpha`.
        """
        ...


class Wealth(Protocol):
    """Wealth of a gambler who starts with 1 and bets on successes at the odds of p_null.

    A non-negative martingale under p = p_null, so that it ever reaches 1 / alpha with probability at most alpha (Ville
    1939). A share of successes above p_null at which it does, with any more successes, is a rejection that stays valid.
    """

    @property
    def name(self) -> str:
        """Names the gambler."""
        ...

    def mirrored(self) -> Wealth:
        """The same gambler, betting on failures."""
        ...

    def log_wealth(self, successes: NDArray[np.int64], trials: NDArray[np.int64], p_null: float) -> Floats:
        """Natural logarithm of the wealth, elementwise."""
        ...
