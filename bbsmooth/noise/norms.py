"""Conversion of a radius in one norm to another."""

from __future__ import annotations

import math

from bbsmooth.noise.distribution import Norm

_INVERSE_ORDER = {Norm.L1: 1.0, Norm.L2: 0.5, Norm.LINF: 0.0}


def implied_radius(radius: float, norm: Norm, wanted: Norm, *, values: int) -> float:
    """The largest radius in the norm `wanted` whose ball lies in that of `radius` in `norm`, rounded down.

    Between orders p and q of d values ||x||_p <= d^max(0, 1/p - 1/q) ||x||_q, with equality for a vector with one value
    that is not 0, or for one whose values are all equal. So an L2 radius R is also an L1 radius R and an L-infinity
    radius R / sqrt(d). The theorem is about `norm`; what it implies elsewhere is less than a theorem of its own gives.

    Args:
        radius: that is proven.
        norm: in which it is.
        wanted: in which it is to be read.
        values: of an image, colours included (d).
    """
    if wanted is norm:
        return radius
    factor = values ** max(0.0, _INVERSE_ORDER[norm] - _INVERSE_ORDER[wanted])
    return radius if factor == 1 else math.nextafter(radius / factor, 0.0)
