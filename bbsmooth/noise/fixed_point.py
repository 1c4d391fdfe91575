"""Numbers as multiples of 2^-160: fast where mpmath is slow, and the same on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mpmath

FIXED_BITS = 160


def fixed(value: mpmath.mpf) -> int:
    """Return a number in units of 2^-160, rounded down."""
    import mpmath

    return int(mpmath.floor(mpmath.ldexp(value, FIXED_BITS)))
