"""Grid of pixel values on which noise is added exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bbsmooth.noise import cells, ziggurat
from bbsmooth.noise.adding import add_cells
from bbsmooth.noise.algorithms import ALGORITHM, ZIGGURAT, check_algorithm
from bbsmooth.noise.distribution import NoiseDistribution
from bbsmooth.randomness import Stream, image_digest, name_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray
    from torch import Tensor

_EXACT_FLOAT32 = 2**24
_STEPS = 64
"""Grid steps in one standard deviation, at least, for classifiers that take floats. Rounding to steps of sigma / 64
adds a variance of sigma^2 / 49,000."""

_FINEST = 12
_MOST_CELLS = 2**20
"""On either side; they take seconds to compute."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Pixel values as integers: 255 * 2^bits is white.

    Args:
        bits: binary digits finer than 8-bit pixels; 0 for oracles that take 8-bit images.
        algorithm: how noise is drawn, a name of `bbsmooth.noise.algorithms`.

    Raises:
        ValueError: there is no such algorithm.
    """

    bits: int
    algorithm: str = field(default=ALGORITHM, repr=False)  # the repr of a grid is in checkpoints of 0.1

    def __post_init__(self) -> None:
        """Refuse an algorithm that nobody knows."""
        check_algorithm(self.algorithm)

    @classmethod
    def fitting(cls, noise: NoiseDistribution, *, eight_bit: bool, algorithm: str = ALGORITHM) -> Grid:
        """The grid for a classifier that takes 8-bit images, or floats.

        For floats it has at least 64 steps in a standard deviation, and no more than that takes: the certificate is as
        sound on any grid that holds the pixels, since rounding comes after the noise and is part of the classifier.
        """
        if eight_bit:
            return cls(0, algorithm)
        if algorithm == ZIGGURAT:
            return cls(ziggurat.FINE_BITS, algorithm)
        return cls(min(_FINEST, max(1, math.ceil(math.log2(_STEPS / (255 * noise.sigma))))), algorithm)

    @property
    def white(self) -> int:
        """The integer that stands for white."""
        return 255 << self.bits

    def check(self, noise: NoiseDistribution) -> None:
        """Refuse noise so strong that float32 could not hold every sum exactly, or that its cells would be too many.

        Raises:
            ValueError: image plus the largest possible draw reaches 2^24 grid steps, or the draw alone 2^20.
        """
        if self.algorithm == ZIGGURAT:
            reach, most = noise.largest * self.white, float(_EXACT_FLOAT32 - self.white)
        else:
            reach = cells.largest_integer(noise, self.white)
            most = min(_MOST_CELLS, _EXACT_FLOAT32 - self.white)
        if reach >= most:
            largest = noise.sigma * most / reach
            raise ValueError(
                f"`sigma` must be below {largest:.1f} on a grid of {self.bits} extra bits, got {noise.sigma}"
            )

    def noisy(self, image: Tensor, noise: NoiseDistribution, stream: Stream, *, first: int, count: int) -> Tensor:
        """Draws `first` to `first + count - 1` of the noisy image.

        Args:
            image: (C, H, W) uint8.
            noise: what to add, rounded to the grid.
            stream: names the draws.
            first: number of the first draw.
            count: how many.

        Returns:
            (count, C, H, W): with `bits` = 0 uint8, clipped to the pixel range; else float32 with white at 1, not
            clipped, whose value is a function of the exact integer sum alone.
        """
        import torch

        pixels = image.numpy().reshape(-1).astype(np.int64) << self.bits
        out = np.empty((count, len(pixels)), dtype=np.float32 if self.bits else np.uint8)
        white = np.float32(self.white)
        for draws, values, sums in self._sums(pixels, noise, stream, first, count):
            if self.bits:
                part = out[draws, values]
                part[...] = sums
                part /= white
            else:
                out[draws, values] = np.clip(sums, sums.dtype.type(0), sums.dtype.type(255), out=sums)
        return torch.from_numpy(out).view(count, *image.shape)

    def _sums(
        self, pixels: NDArray[np.int64], noise: NoiseDistribution, stream: Stream, first: int, count: int
    ) -> Iterator[tuple[slice, slice, NDArray[Any]]]:
        """Sums of pixels and noise in grid steps, piece by piece: which draws, which values, and their sums."""
        if self.algorithm == ZIGGURAT:
            return ziggurat.add_rounded(pixels, noise, self.white, stream, first=first, count=count)
        return add_cells(pixels, cells.cells(noise, self.white), stream, first=first, count=count)

    def total_variation(self, noise: NoiseDistribution, values: int) -> float:
        """A bound on the distance between the noise that is drawn and ideal rounded noise, for `values` pixel values.

        Values are independent, so the distances of single ones add.
        """
        of = ziggurat.total_variation if self.algorithm == ZIGGURAT else cells.total_variation
        return values * of(noise, self.white)


def stream_name(seed: int, purpose: str, image: Tensor, noise: NoiseDistribution, grid: Grid) -> bytes:
    """The name of the stream of an image's draws for one purpose: 32 bytes, from which its noisy copies follow.

    Equal images share it, wherever they stand in the data.

    Args:
        seed: of all draws of a run.
        purpose: streams of different purposes share no draw.
        image: (C, H, W) uint8.
        noise: what is added.
        grid: on which it is added.
    """
    return name_digest(seed, grid.algorithm, noise.name, repr(noise.sigma), grid.bits, purpose, image_digest(image))
