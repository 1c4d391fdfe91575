"""Noise as version 0.1 drew it: numpy's floating-point samplers, rounded to the grid.

Kept so that runs of then stay verifiable. The same on every machine as long as numpy's samplers stay as they are, which
its authors do not promise (NEP 19); hence `bbsmooth.noise.cells`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bbsmooth.randomness import DRAWS_AT_A_PLACE, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bbsmooth.noise.distribution import NoiseDistribution

FINE_BITS = 8
"""Binary digits of the grid beyond 8-bit pixels, for classifiers that take floats."""


def add_rounded(
    pixels: NDArray[np.int64], noise: NoiseDistribution, white: int, stream: Stream, *, first: int, count: int
) -> Iterator[tuple[slice, slice, NDArray[np.float64]]]:
    """Yield sums of pixels and rounded noise, whole numbers, piece by piece: which draws, which values, and their sums.

    Args:
        pixels: (values,), in grid steps.
        noise: what to add.
        white: grid steps from black to white.
        stream: names the draws.
        first: number of the first draw.
        count: how many.
    """
    start = 0
    while start < count:
        rows = min(count - start, DRAWS_AT_A_PLACE - (first + start) % DRAWS_AT_A_PLACE)
        sums = np.empty((rows, len(pixels)))  # few enough to stay in a processor's cache
        stream.fill(noise.sample, sums, first=first + start)
        sums *= white
        np.rint(sums, out=sums)
        sums += pixels
        yield slice(start, start + rows), slice(None), sums
        start += rows


def total_variation(noise: NoiseDistribution, white: int) -> float:
    """Return a bound on the distance of one draw from ideal rounded noise.

    The generator picks one of finitely many numbers, so the probability of each grid cell is slightly off; the
    distribution says by how much.
    """
    return noise.lattice_error * white + 2.0**-48
