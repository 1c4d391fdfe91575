"""Tails of the standard normal distribution at equally spaced points, in integer arithmetic.

mpmath takes 10 to 80 microseconds for each, and a grid has thousands. Between two points x - s/2 and x + s/2 lies

    phi(x) sum_j He_2j(x) 2 (s/2)^(2j+1) / (2j+1)!,

since the n-th derivative of the density phi is (-1)^n He_n phi, with Hermite's polynomials
He_(n+1) = x He_n - n He_(n-1), and odd ones cancel. |He_n phi| < sqrt(n!) / 2 (Cramer's inequality) says when to stop.
From point to point phi changes by a factor that itself changes by a constant one.
"""

from __future__ import annotations

import math

import mpmath

from bbsmooth.noise.fixed_point import FIXED_BITS, fixed

_LARGEST_STEP = 0.125
"""Above it few points matter, and series are long."""

_NEGLIGIBLE = 2.0**-140


def upper_tails(first: mpmath.mpf, step: mpmath.mpf, count: int) -> list[int]:
    """Return 1 - Phi(first + k step) for k from 0 to `count` - 1, in units of 2^-160, right to 2^-120 of 1.

    Args:
        first: at least 0.
        step: above 0.
        count: how many.
    """
    with mpmath.workprec(FIXED_BITS):
        if step > _LARGEST_STEP or count == 1:
            return [fixed(mpmath.erfc((first + k * step) / mpmath.sqrt(2)) / 2) for k in range(count)]
        middle, factors = first + step / 2, _factors(step / 2)
        tail, x, width = (fixed(each) for each in (mpmath.erfc(first / mpmath.sqrt(2)) / 2, middle, step))
        density = fixed(mpmath.npdf(middle))
        change, change_of_change = fixed(mpmath.exp(-step * (middle + step / 2))), fixed(mpmath.exp(-step * step))
    tails = []
    for _ in range(count):
        tails.append(tail)
        tail -= density * _series(x, factors) >> FIXED_BITS
        density = density * change >> FIXED_BITS
        change = change * change_of_change >> FIXED_BITS
        x += width
    return tails


def _factors(half: mpmath.mpf) -> list[int]:
    """2 (s/2)^(2j+1) / (2j+1)! for the terms that count."""
    factors: list[int] = []
    while True:
        power = 2 * len(factors) + 1
        factor = 2 * half**power / math.factorial(power)
        if factor * math.sqrt(math.factorial(power - 1)) < _NEGLIGIBLE:
            return factors
        factors.append(fixed(factor))


def _series(x: int, factors: list[int]) -> int:
    """The sum of He_2j(x) factors[j]."""
    before, here, total, degree = 0, 1 << FIXED_BITS, factors[0], 0
    for factor in factors[1:]:
        for _ in range(2):
            before, here, degree = here, (x * here >> FIXED_BITS) - degree * before, degree + 1
        total += here * factor >> FIXED_BITS
    return total
