"""Uniform noise: L1 certificates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bbsmooth.noise.distribution import Norm, check_sigma
from bbsmooth.noise.fixed_point import FIXED_BITS, fixed

if TYPE_CHECKING:
    import mpmath
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Uniform:
    """Independent noise in every value, uniform on [-reach, reach].

    Args:
        sigma: standard deviation, white being 1; the reach is sqrt(3) sigma.

    Raises:
        ValueError: `sigma` is not a positive number.
    """

    sigma: float
    norm: ClassVar[Norm] = Norm.L1
    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        """Refuse a sigma that gives no noise."""
        check_sigma(self.sigma)

    @property
    def reach(self) -> float:
        """Largest absolute value of the noise."""
        return math.sqrt(3) * self.sigma

    @property
    def largest(self) -> float:
        """The reach."""
        return self.reach

    @property
    def lattice_error(self) -> float:
        """Reach * 2^-53, times 4: one of 2^53 equally spaced points is drawn, and there are 2 * reach * white cells."""
        return self.reach * 2.0**-51

    def sample(self, generator: np.random.Generator, out: NDArray[np.float64]) -> None:
        """Fill `out` (rows, values)."""
        generator.random(out=out)
        out *= 2 * self.reach
        out -= self.reach

    def upper_tails(self, first: mpmath.mpf, step: mpmath.mpf, count: int) -> list[int]:
        """(reach - first - k step) / (2 reach), 0 beyond the reach, in units of 2^-160."""
        import mpmath

        with mpmath.workprec(FIXED_BITS):
            width = 2 * mpmath.mpf(self.reach)
            start, loss = fixed((self.reach - first) / width), fixed(step / width)
        return [max(0, start - k * loss) for k in range(count)]

    def radius(self, p_lower: float) -> float:
        """L1 radius 2 reach (p_lower - 1/2), 0 unless `p_lower` > 1/2. Yang et al., ICML 2020, Appendix."""
        return 2 * self.reach * (p_lower - 0.5) if p_lower > 0.5 else 0.0

    def radius_between(self, p_lower: float, p_upper: float) -> float:
        """L1 radius reach * (p_lower - p_upper).

        A perturbation of size r changes no probability by more than r / (2 reach) (Levine & Feizi, ICML 2021): the top
        class loses so much at most, the runner-up gains so much at most.
        """
        return self.reach * (p_lower - p_upper) if 0 < p_upper < p_lower < 1 else 0.0

    def probability(self, radius: float) -> float:
        """1/2 + radius / (2 reach), at most 1."""
        return min(1.0, 0.5 + radius / (2 * self.reach))
