"""Noisy copies drawn by torch where they are used: the same integers as `bbsmooth.noise.adding` draws by NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from bbsmooth.noise.adding import draws_together
from bbsmooth.noise.algorithms import CELLS
from bbsmooth.noise.cells import HEAD_BITS, HEADS, REST_BITS, cells
from bbsmooth.noise.copies import Copies, NoisyCopies
from bbsmooth.noise.distribution import NoiseDistribution
from bbsmooth.noise.grid import Grid
from bbsmooth.noise.philox import philox, signed, unsigned_shift
from bbsmooth.randomness import Stream

BY_NUMPY = frozenset({"cpu"})
"""Kinds of devices for which NumPy draws: it is faster than torch there."""

_VALUES_AT_ONCE = 1 << 25
"""Values that are drawn at a time, at most, but for a single place; each takes about 60 bytes on the way."""

_LANES = 4
_SIGN = signed(1 << 63)


@dataclass(frozen=True, slots=True, eq=False)
class DrawRequest:
    """Consecutive draws of one image.

    Attributes:
        image: (C, H, W) uint8, on any device.
        stream: names the draws.
        first: number of the first draw.
        count: how many.
    """

    image: Tensor
    stream: Stream
    first: int
    count: int


def drawn_on(device: torch.device, copies: Copies, requests: Sequence[DrawRequest]) -> Tensor:
    """Return the copies of each request, joined: (B, C, H, W) on a device, drawn there if they can be.

    Args:
        device: where they stay.
        copies: how they are drawn.
        requests: of images of one shape.
    """
    if device.type not in BY_NUMPY and isinstance(copies, NoisyCopies) and copies.grid.algorithm == CELLS:
        return noisy_on(device, copies.grid, copies.noise, requests)
    parts = [copies.draw(one.image, one.stream.name, first=one.first, count=one.count) for one in requests]
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).to(device)


def noisy_on(device: torch.device, grid: Grid, noise: NoiseDistribution, requests: Sequence[DrawRequest]) -> Tensor:
    """Return what `Grid.noisy` gives for each request, joined: (B, C, H, W) on a device.

    Args:
        device: where they are drawn and stay.
        grid: on which noise is added, with the algorithm `CELLS`.
        noise: what to add.
        requests: of images of one shape.
    """
    shape = requests[0].image.shape
    values = shape.numel()
    table = _cells_on(device, grid, noise)
    together = draws_together(values)
    pixels = torch.stack([one.image for one in requests]).to(device).view(len(requests), values).int() << grid.bits
    most = max(1, _VALUES_AT_ONCE // (together * values))
    parts = [
        table.shown(pixels[owners].add_(_rows(table, places, values, together, wanted)))
        for places, owners, wanted in _pieces(requests, together, most, device)
    ]
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).view(-1, *shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Places of streams: their numbers (P, 1) and the two words of their keys, each (P, 1)."""

    number: Tensor
    key: tuple[Tensor, Tensor]

    def words(self, block: Tensor, part: int, of: Tensor | None = None) -> Tensor:
        """Words (P, N, 4) of the blocks (P, N) of a part; with `of`, places (N,), those (N, 4) of a block each."""
        number, key = self.number, self.key
        if of is not None:
            number, key = number[of, 0], (key[0][of, 0], key[1][of, 0])
        counter = (block + 1, torch.zeros_like(block), number, torch.full_like(block, part))
        return torch.stack(philox(counter, key), -1)


def _pieces(
    requests: Sequence[DrawRequest], together: int, most: int, device: torch.device
) -> Iterator[tuple[_Places, Tensor, Tensor | None]]:
    """Places, `most` at a time; the request of each row that is wanted of them; and the wanted rows, None for all."""
    places: list[tuple[int, int, int]] = []
    owners: list[int] = []
    wanted: list[int] = []
    for owner, one in enumerate(requests):
        low, high = (signed(int(word)) for word in one.stream.key)
        for place in range(one.first // together, (one.first + one.count - 1) // together + 1):
            if len(places) == most:
                yield _piece(places, owners, wanted, together, device)
                places, owners, wanted = [], [], []
            begin = place * together
            rows = range(max(one.first, begin), min(one.first + one.count, begin + together))
            wanted += [len(places) * together + row - begin for row in rows]
            owners += [owner] * len(rows)
            places.append((place, low, high))
    yield _piece(places, owners, wanted, together, device)


def _piece(
    places: list[tuple[int, int, int]], owners: list[int], wanted: list[int], together: int, device: torch.device
) -> tuple[_Places, Tensor, Tensor | None]:
    number, low, high = torch.tensor(places, device=device).T[..., None]
    rows = None if len(wanted) == len(places) * together else torch.tensor(wanted, device=device)
    return _Places(number, (low, high)), torch.tensor(owners, device=device), rows


def _rows(table: _DeviceCells, places: _Places, values: int, together: int, wanted: Tensor | None) -> Tensor:
    """Integers (R, values) int32 of the wanted rows of some places."""
    width = -(-values // HEADS)
    blocks = torch.arange(-(-together * width // _LANES), device=places.number.device)[None]
    words = places.words(blocks.expand(len(places.number), -1), 0).flatten(1)[:, : together * width].contiguous()
    heads = words.view(torch.int16).int() & ((1 << HEAD_BITS) - 1)
    found = table.table[heads]
    undecided = found == table.undecided
    of, at = undecided.nonzero(as_tuple=True)
    counts = undecided.sum(1)
    rank = torch.arange(len(of), device=of.device) - (counts.cumsum(0) - counts)[of]
    further = places.words(rank // _LANES, 1, of).gather(1, (rank % _LANES)[:, None])[:, 0]
    whole = (heads[of, at].long() << REST_BITS) | unsigned_shift(further, HEAD_BITS)
    found[of, at] = table.invert(whole)
    rows = found.view(-1, width * HEADS)
    return (rows if wanted is None else rows[wanted])[:, :values]


@dataclass(frozen=True, slots=True, eq=False)
class _DeviceCells:
    """`Cells` in tensors of a device; the highest bit of thresholds is turned, so that they sort as signed numbers."""

    table: Tensor
    undecided: int
    thresholds: Tensor
    largest: int
    levels: Tensor | None

    def invert(self, words: Tensor) -> Tensor:
        """Integers that whole words stand for."""
        passed = torch.searchsorted(self.thresholds, words ^ _SIGN, right=True, out_int32=True)
        return passed - self.largest

    def shown(self, sums: Tensor) -> Tensor:
        """Sums as an oracle gets them; for floats a table says what NumPy's division gives, on every device."""
        return sums.clamp_(0, 255).to(torch.uint8) if self.levels is None else self.levels[sums.add_(self.largest)]


@lru_cache(maxsize=16)
def _cells_on(device: torch.device, grid: Grid, noise: NoiseDistribution) -> _DeviceCells:
    held = cells(noise, grid.white)
    levels = None
    if grid.bits:
        sums = np.arange(-held.largest, held.largest + grid.white + 1)
        levels = torch.from_numpy(sums.astype(np.float32) / np.float32(grid.white)).to(device)
    return _DeviceCells(
        table=torch.from_numpy(held.table.astype(np.int32)).to(device),
        undecided=held.undecided,
        thresholds=torch.from_numpy((held.thresholds ^ np.uint64(1 << 63)).view(np.int64)).to(device),
        largest=held.largest,
        levels=levels,
    )
