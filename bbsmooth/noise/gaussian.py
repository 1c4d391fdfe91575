"""Gaussian noise: L2 certificates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scipy.special import ndtri

from bbsmooth.noise.distribution import Norm, check_sigma

if TYPE_CHECKING:
    import mpmath
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Isotropic noise N(0, sigma^2 I).

    Args:
        sigma: standard deviation, white being 1.

    Raises:
        ValueError: `sigma` is not a positive number.
    """

    sigma: float
    norm: ClassVar[Norm] = Norm.L2
    name: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        """Refuse a sigma that gives no noise."""
        check_sigma(self.sigma)

    @property
    def largest(self) -> float:
        """13.8 sigma: numpy's ziggurat draws its tail as 3.654 - log(u) / 3.654 with u >= 2^-53."""
        return 13.8 * self.sigma

    @property
    def lattice_error(self) -> float:
        """3.66 sigma * 2^-52, times 4.

        Within a layer of width at most 3.66 the ziggurat picks one of 2^52 equally spaced points, so the probability of
        each grid cell is off by at most 2^-52 in each of at most 2 * 3.66 * sigma * white cells; half their sum is the
        total variation. Rounding in tables, wedges and tail is of the same order, and the factor 4 covers it.
        """
        return self.sigma * 2.0**-48

    def sample(self, generator: np.random.Generator, out: NDArray[np.float64]) -> None:
        """Fill `out` (rows, values) with independent N(0, sigma^2) values (numpy's 256-layer ziggurat)."""
        generator.standard_normal(out=out)
        out *= self.sigma

    def upper_tails(self, first: mpmath.mpf, step: mpmath.mpf, count: int) -> list[int]:
        """1 - Phi((first + k step) / sigma), in units of 2^-160."""
        from bbsmooth.noise.gaussian_tails import upper_tails

        return upper_tails(first / self.sigma, step / self.sigma, count)

    def radius(self, p_lower: float) -> float:
        """L2 radius sigma * Phi^-1(p_lower), 0 unless `p_lower` > 1/2.

        Cohen, Rosenfeld, Kolter, ICML 2019, Theorem 1 with p_B <= 1 - p_A.
        """
        return self.sigma * float(ndtri(p_lower)) if p_lower > 0.5 else 0.0

    def radius_between(self, p_lower: float, p_upper: float) -> float:
        """L2 radius sigma / 2 * (Phi^-1(p_lower) - Phi^-1(p_upper)). Cohen, Rosenfeld, Kolter, ICML 2019, Theorem 1."""
        if not 0 < p_upper < p_lower < 1:
            return 0.0
        return self.sigma / 2 * float(ndtri(p_lower) - ndtri(p_upper))

    def probability(self, radius: float) -> float:
        """Phi(radius / sigma)."""
        return 0.5 * math.erfc(-radius / (self.sigma * math.sqrt(2)))
