"""Sums of pixels and integer noise, by NumPy: random words, table, addition, in pieces that fit a processor's cache.

Draw i of a stream lies at place i div D, as number i mod D of the D draws there (`draws_together`). A draw is padded to
whole words of four values; value v of a place has for its first bits the v-th 16 bits of the place's words, the lowest
first. Those values that need more bits take further words, of which the upper 48 bits count, one each in their order,
from a second part of the stream. `bbsmooth.noise.on_device` gives the same integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bbsmooth.noise.cells import HEAD_BITS, HEADS, Cells
from bbsmooth.randomness import Stream, Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PIECE = 1 << 13
"""Words of a piece, at most."""

_TOGETHER = 16
_VALUES_TOGETHER = 1 << 14


def draws_together(values: int) -> int:
    """Return how many draws share a place: as many as have 16,384 values, at least 1 and at most 16."""
    return min(_TOGETHER, max(1, _VALUES_TOGETHER // values))


def add_cells(
    pixels: NDArray[np.int64], table: Cells, stream: Stream, *, first: int, count: int
) -> Iterator[tuple[slice, slice, NDArray[Any]]]:
    """Yield sums of pixels and noise piece by piece: which draws, which values, and their sums, good until the next.

    Args:
        pixels: (values,), in grid steps.
        table: of the noise on the grid.
        stream: names the draws.
        first: number of the first draw.
        count: how many.
    """
    values = len(pixels)
    shown = pixels.astype(table.table.dtype)
    width, together = -(-values // HEADS), draws_together(values)
    heads, inverter = Words(stream, 0), _Inverter(table, Words(stream, 1))
    start = 0
    while start < count:
        place, skipped = divmod(first + start, together)
        rows = min(count - start, together - skipped)
        heads.go(place)
        inverter.more.go(place)
        for begin in range(0, width, _PIECE):  # several draws always are one piece
            size = min(_PIECE, width - begin)
            raw = heads.take((skipped + rows) * size).astype("<u8", copy=False).view("<u2")
            drawn = inverter(raw).reshape(-1, size * HEADS)
            columns = slice(begin * HEADS, min((begin + size) * HEADS, values))
            part = shown[columns]
            sums = drawn[skipped:, : len(part)]
            yield slice(start, start + rows), columns, np.add(sums, part, out=sums)
        start += rows


class _Inverter:
    """From first bits to integers, with more bits where these do not decide; in memory that is taken once."""

    def __init__(self, table: Cells, more: Words) -> None:
        self._table, self.more = table, more
        self._index = np.empty(_PIECE * HEADS, np.intp)
        self._found = np.empty(_PIECE * HEADS, table.table.dtype)
        self._mask = np.empty(_PIECE * HEADS, np.bool_)

    def __call__(self, heads: NDArray[np.uint16]) -> NDArray[Any]:
        index, found, mask = (each[: len(heads)] for each in (self._index, self._found, self._mask))
        np.copyto(index, heads)
        self._table.table.take(index, out=found, mode="clip")  # "raise" would copy
        places = np.flatnonzero(np.equal(found, self._table.undecided, out=mask))
        if len(places):
            rest = self.more.take(len(places)) >> np.uint64(HEAD_BITS)
            found[places] = self._table.refine(heads.take(places), rest)
        return found
