"""Integer noise by exact inversion: from 64 random bits to a grid integer, every probability right to 2^-64.

Noise that is rounded to the grid takes the integer k with the probability of its cell, F((k + 1/2) h) - F((k - 1/2) h),
where F is the distribution function and h one grid step. Let T_k be 2^64 F((k + 1/2) h), rounded to an integer, and U a
uniform 64-bit word. Then the smallest k with U < T_k has that probability up to 2^-64: each of the two ends of a cell
was moved by at most 2^-65. No floating-point number takes part in a draw, so equal words give equal noise on every
machine, in every version, by every library that can compare integers.

The first 16 bits of U nearly always decide: a table says which integer a block of 2^48 words gives, or that a T_k lies
inside the block. Only then are the other 48 bits drawn. Inversion by table: Devroye, Non-Uniform Random Variate
Generation (1986), III.2; no more bits than are needed: Knuth & Yao 1976.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bbsmooth.noise.fixed_point import FIXED_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bbsmooth.noise.distribution import NoiseDistribution

BITS = 64
HEAD_BITS = 16
REST_BITS = BITS - HEAD_BITS
HEADS = BITS // HEAD_BITS
"""First halves of draws that one word of the generator holds, the lowest bits first."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells of one noise distribution on one grid.

    Args:
        thresholds: T_k for every k from -`largest` to `largest` - 1, ascending, strictly between 0 and 2^64.
        largest: the largest integer that is ever drawn; the smallest is its negative.
        white: the largest integer that a draw is added to.

    Attributes:
        table: (2^16,) the integer that the first 16 bits give, or `undecided`; int16 where every sum fits, else int32.
        undecided: a value that is never drawn.
        lowest: (2^16,) the smallest integer that the first 16 bits leave open.
        ends: (2^16,) the first threshold after the first 16 bits, less these: one that the other 48 bits may reach.
        several: (2^16,) True where the first 16 bits leave more than two integers open.
    """

    thresholds: NDArray[np.uint64]
    largest: int
    white: int
    table: NDArray[Any] = field(init=False)
    undecided: int = field(init=False)
    lowest: NDArray[Any] = field(init=False)
    ends: NDArray[np.uint64] = field(init=False)
    several: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        """Tabulate what the first 16 bits say."""
        dtype = np.int16 if self.largest + self.white <= np.iinfo(np.int16).max else np.int32
        undecided = int(np.iinfo(dtype).min)
        firsts = np.arange(1 << HEAD_BITS, dtype=np.uint64) << np.uint64(REST_BITS)
        lowest, highest = self.invert(firsts), self.invert(firsts | np.uint64((1 << REST_BITS) - 1))
        following = np.append(self.thresholds, np.uint64(0))[lowest + self.largest]  # 0 where there is none
        object.__setattr__(self, "table", np.where(lowest == highest, lowest, undecided).astype(dtype))
        object.__setattr__(self, "undecided", undecided)
        object.__setattr__(self, "lowest", lowest.astype(dtype))
        object.__setattr__(self, "ends", following - firsts)
        object.__setattr__(self, "several", highest > lowest + 1)

    def refine(self, heads: NDArray[np.uint16], rest: NDArray[np.uint64]) -> NDArray[Any]:
        """Integers for first bits that do not decide, and the other 48 bits.

        Nearly all such first bits leave two integers open, which one comparison decides; those of the tails, more.
        """
        found = self.lowest.take(heads)
        found += rest >= self.ends.take(heads)
        further = np.flatnonzero(self.several.take(heads))
        if len(further):
            found[further] = self.invert(heads[further].astype(np.uint64) << np.uint64(REST_BITS) | rest[further])
        return found

    def invert(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Integers that whole words stand for: the smallest k with word < T_k."""
        return np.searchsorted(self.thresholds, words, side="right") - self.largest


@lru_cache(maxsize=64)
def cells(noise: NoiseDistribution, white: int) -> Cells:
    """Return the cells of noise on the grid whose white is the integer `white`.

    Args:
        noise: symmetric about 0.
        white: grid steps from black to white.
    """
    tails = _tails(noise, white, 0, largest_integer(noise, white))
    above = [(1 << BITS) - tail for tail in tails]  # T_k of k >= 0, and by symmetry those of k < 0
    return Cells(np.array(tails[::-1] + above, dtype=np.uint64), len(tails), white)


@lru_cache(maxsize=256)
def largest_integer(noise: NoiseDistribution, white: int) -> int:
    """Return the largest integer that is ever drawn: the number of k >= 0 beyond whose cell lie 2^-65 or more."""
    beyond = 1
    while _tails(noise, white, beyond - 1, 1)[0]:
        beyond *= 2
    low, high = beyond // 2, beyond  # tails 0 to low - 1 are not 0, tail high - 1 is
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _tails(noise, white, middle - 1, 1)[0] else (low, middle)
    return low


def total_variation(noise: NoiseDistribution, white: int) -> float:
    """Return a bound on the distance of one draw from ideal rounded noise: (2 L + 3) 2^-65, L the largest integer.

    The total variation is half the sum of |drawn - ideal| over all integers. A cell that is drawn differs by at most
    2^-64, since each of its ends was moved by at most 2^-65; so do the first and the last one, beyond which less than
    2^-65 lies on either side and is never drawn. Half of (2 L + 1) 2^-64 + 2 * 2^-65 is (2 L + 2) 2^-65. One more 2^-65
    covers that F is computed to 2^-120.
    """
    return (2 * largest_integer(noise, white) + 3) * 2.0**-65


def _tails(noise: NoiseDistribution, white: int, first: int, count: int) -> list[int]:
    """2^64 times the probability of more than k + 1/2 grid steps, rounded, for `count` numbers k from `first` on."""
    import mpmath

    with mpmath.workprec(FIXED_BITS):
        step = mpmath.mpf(1) / white
        tails = noise.upper_tails((first + mpmath.mpf(0.5)) * step, step, count)
    half = 1 << (FIXED_BITS - BITS - 1)
    return [(tail + half) >> (FIXED_BITS - BITS) for tail in tails]
