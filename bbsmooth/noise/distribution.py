"""Protocols of a noise distribution: how to draw it, and the radius that follows."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    import mpmath
    import numpy as np
    from numpy.typing import NDArray


class Norm(StrEnum):
    """Measure of the size of a perturbation."""

    L1 = "l1"
    L2 = "l2"
    LINF = "linf"


class Smoothing(Protocol):
    """Description that every kind of noise gives of itself."""

    norm: ClassVar[Norm]
    name: ClassVar[str]

    @property
    def sigma(self) -> float:
        """Standard deviation of one value, white being 1."""
        ...


class NoiseDistribution(Smoothing, Protocol):
    """Sampling and guarantee in one object: neither can be swapped without the other."""

    def __hash__(self) -> int:
        """Equal distributions share their tables."""
        ...

    @property
    def largest(self) -> float:
        """No draw is larger than this in absolute value, white being 1."""
        ...

    @property
    def lattice_error(self) -> float:
        """Distance of drawn noise from ideal noise, per value and grid step of white: see `Grid.total_variation`."""
        ...

    def sample(self, generator: np.random.Generator, out: NDArray[np.float64]) -> None:
        """Fill `out` (rows, values) with independent noise, white being 1, as `bbsmooth.randomness.Sample` says."""
        ...

    def upper_tails(self, first: mpmath.mpf, step: mpmath.mpf, count: int) -> list[int]:
        """2^160 times the probabilities of more than `first` + k `step`, white being 1; right to 2^-120 of 1.

        Args:
            first: at least 0.
            step: above 0.
            count: how many; k goes from 0 to `count` - 1.
        """
        ...

    def radius(self, p_lower: float) -> float:
        """The radius, in units of `norm`, that a lower bound `p_lower` on the top class's probability proves.

        0 unless `p_lower` > 1/2 (also for NaN).
        """
        ...

    def radius_between(self, p_lower: float, p_upper: float) -> float:
        """The radius that follows if no other class has a probability above `p_upper`.

        Never below what `radius` gives where `p_upper` is 1 - `p_lower`. 0 unless 0 < `p_upper` < `p_lower` < 1 (also
        for NaN); `p_lower` may lie below 1/2.
        """
        ...

    def probability(self, radius: float) -> float:
        """The top-class probability that `radius` needs: the inverse of `radius`."""
        ...


def check_sigma(sigma: float) -> None:
    """Refuse a standard deviation that gives no noise.

    Raises:
        ValueError: `sigma` is not a positive number.
    """
    try:
        positive = sigma > 0 and math.isfinite(sigma)
    except TypeError:
        positive = False
    if not positive:
        raise ValueError(f"`sigma` must be a positive number, got {sigma!r}")
