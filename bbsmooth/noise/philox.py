"""Philox-4x64 with ten rounds in torch, on any device: the words of `bbsmooth.randomness.Words`, bit for bit.

Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3 (SC 2011). Words are int64 tensors that hold
the bits of unsigned ones: torch multiplies and adds modulo 2^64, and a mask makes a shift to the right one of unsigned
words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_ROUNDS = 10
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_HALF = 32
_LOW = (1 << _HALF) - 1


def philox(counter: Sequence[Tensor], key: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the four words of each counter.

    Args:
        counter: four int64 tensors, the lowest word first, that broadcast.
        key: two that broadcast with them.
    """
    a, b, c, d = torch.broadcast_tensors(*counter)  # type: ignore[no-untyped-call]
    low, high = key
    for number in range(_ROUNDS):
        if number:
            low, high = low + signed(_WEYL[0]), high + signed(_WEYL[1])
        left, right = _high(a, _MULTIPLIERS[0]), _high(c, _MULTIPLIERS[1])
        a, b, c, d = right ^ b ^ low, c * signed(_MULTIPLIERS[1]), left ^ d ^ high, a * signed(_MULTIPLIERS[0])
    return a, b, c, d


def signed(word: int) -> int:
    """Return the int64 that has the bits of an unsigned 64-bit word."""
    return word - (1 << 64) if word >> 63 else word


def unsigned_shift(words: Tensor, bits: int) -> Tensor:
    """Return words shifted to the right as unsigned ones."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)


def _high(words: Tensor, factor: int) -> Tensor:
    """Upper 64 bits of the products of unsigned words and a factor, from products of 32-bit halves."""
    low, high = words & _LOW, unsigned_shift(words, _HALF)
    factor_low, factor_high = factor & _LOW, factor >> _HALF
    middle, other = low * factor_high, high * factor_low
    carry = unsigned_shift(low * factor_low, _HALF) + (middle & _LOW) + (other & _LOW)
    return high * factor_high + unsigned_shift(middle, _HALF) + unsigned_shift(other, _HALF) + (carry >> _HALF)
