"""Laplace noise: L1 certificates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bbsmooth.noise.distribution import Norm, check_sigma
from bbsmooth.noise.fixed_point import FIXED_BITS, fixed

if TYPE_CHECKING:
    import mpmath
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Laplace:
    """Independent Laplace noise in every value, with density exp(-|t| / scale) / (2 scale).

    Args:
        sigma: standard deviation, white being 1; the scale is sigma / sqrt(2).

    Raises:
        ValueError: `sigma` is not a positive number.
    """

    sigma: float
    norm: ClassVar[Norm] = Norm.L1
    name: ClassVar[str] = "laplace"

    def __post_init__(self) -> None:
        """Refuse a sigma that gives no noise."""
        check_sigma(self.sigma)

    @property
    def scale(self) -> float:
        """Mean absolute value of the noise."""
        return self.sigma / math.sqrt(2)

    @property
    def largest(self) -> float:
        """44.5 scales: numpy's ziggurat draws its tail as 7.698 - log(u) with u >= 2^-53."""
        return 44.5 * self.scale

    @property
    def lattice_error(self) -> float:
        """7.7 scale * 2^-53, times 4, by the argument of `Gaussian.lattice_error`, for layers of width up to 7.7."""
        return self.scale * 2.0**-48

    def sample(self, generator: np.random.Generator, out: NDArray[np.float64]) -> None:
        """Fill `out` (rows, values): exponential sizes (numpy's ziggurat) with random signs, row after row."""
        for row in out:
            generator.standard_exponential(out=row)
            row *= self.scale * (2.0 * generator.integers(0, 2, len(row), dtype=np.int8) - 1)

    def upper_tails(self, first: mpmath.mpf, step: mpmath.mpf, count: int) -> list[int]:
        """exp(-(first + k step) / scale) / 2, in units of 2^-160: each is the one before times a constant."""
        import mpmath

        with mpmath.workprec(FIXED_BITS):
            factor = fixed(mpmath.exp(-step / self.scale))
            tails = [fixed(mpmath.exp(-first / self.scale) / 2)]
        while len(tails) < count:
            tails.append(tails[-1] * factor >> FIXED_BITS)
        return tails

    def radius(self, p_lower: float) -> float:
        """L1 radius -scale * log(2 (1 - p_lower)), 0 unless `p_lower` > 1/2. Teng et al. 2020, Theorem 1."""
        return -self.scale * math.log(2 * (1 - p_lower)) if 0.5 < p_lower < 1 else 0.0

    def radius_between(self, p_lower: float, p_upper: float) -> float:
        """L1 radius max(scale / 2 * log(p_lower / p_upper), -scale * log(1 - p_lower + p_upper)).

        Teng et al. 2020, Theorem 1. A perturbation of size r multiplies no probability by more than exp(r / scale): the
        first form follows for the two classes, the second for the runner-up and all that is not the top class.
        """
        if not 0 < p_upper < p_lower < 1:
            return 0.0
        return self.scale * max(math.log(p_lower / p_upper) / 2, -math.log(1 - p_lower + p_upper))

    def probability(self, radius: float) -> float:
        """1 - exp(-radius / scale) / 2."""
        return 1 - 0.5 * math.exp(-radius / self.scale)
