"""Pixels and noise as integers on one grid, and the names of the streams that noise is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bbsmooth.noise.distribution import NoiseDistribution
from bbsmooth.randomness import DRAWS_AT_A_PLACE, Stream, image_digest, name_digest

if TYPE_CHECKING:
    from torch import Tensor

ALGORITHM = "philox4x64-ziggurat-1"
"""Changes whenever the same stream would give other noise; part of a run's settings."""

FINE_BITS = 8
"""Binary digits of the noise grid beyond 8-bit pixels, for classifiers that take floats."""

_EXACT_FLOAT32 = 2**24


@dataclass(frozen=True, slots=True)
class Grid:
    """Pixel values as integers: 255 * 2^bits is white.

    Args:
        bits: binary digits finer than 8-bit pixels; 0 for oracles that take 8-bit images.
    """

    bits: int

    @property
    def white(self) -> int:
        """The integer that stands for white."""
        return 255 << self.bits

    def check(self, noise: NoiseDistribution) -> None:
        """Refuse noise so strong that float32 could not hold every sum exactly.

        Raises:
            ValueError: image plus the largest possible draw reaches 2^24 grid steps.
        """
        if self.white * (1 + noise.largest) >= _EXACT_FLOAT32:
            largest = (_EXACT_FLOAT32 / self.white - 1) / (noise.largest / noise.sigma)
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

        pixels = image.numpy().reshape(1, -1).astype(np.float64) * (1 << self.bits)
        out = np.empty((count, image.numel()), dtype=np.uint8 if self.bits == 0 else np.float32)
        start = 0
        while start < count:
            rows = min(count - start, DRAWS_AT_A_PLACE - (first + start) % DRAWS_AT_A_PLACE)
            sums = np.empty((rows, image.numel()))  # few enough to stay in a processor's cache
            stream.fill(noise.sample, sums, first=first + start)
            sums *= self.white
            np.rint(sums, out=sums)
            sums += pixels
            out[start : start + rows] = sums.clip(0, 255) if self.bits == 0 else sums
            start += rows
        if self.bits:
            out /= np.float32(self.white)
        return torch.from_numpy(out).view(count, *image.shape)

    def total_variation(self, noise: NoiseDistribution, values: int) -> float:
        """A bound on the distance between the noise that is drawn and ideal rounded noise, for `values` pixel values.

        A generator picks one of finitely many numbers, so the probability of each grid cell is slightly off; the
        distribution says by how much. Values are independent, so distances add.
        """
        return values * (noise.lattice_error * self.white + 2.0**-48)


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
    return name_digest(seed, ALGORITHM, noise.name, repr(noise.sigma), grid.bits, purpose, image_digest(image))
