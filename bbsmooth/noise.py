"""Noise distributions on the pixel grid, and the radius that each one proves.

A computer cannot add real-valued noise to an image: sums are rounded, the rounding depends on the image, and
certificates can be broken through it (Voracek & Hein, ICLR 2023; Jin et al., arXiv 2205.10159). Here pixels are
integers on a grid of 1 / (255 * 2^bits), noise is rounded to the same grid without looking at the image, and the sum is
exact. Image x on the grid plus rounded noise equals the rounded sum of x and real-valued noise, so what comes after
(rounding included) is post-processing of the mechanism that the theorem is about, for every image on the grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from bbsmooth.randomness import Stream, image_digest, name_digest

ALGORITHM = "philox4x64-ziggurat-1"
"""Changes whenever the same stream would give other noise; part of a run's settings."""

_EXACT_FLOAT32 = 2**24
_LARGEST_NORMAL = 13.8  # numpy's ziggurat tail: 3.654 - log(2^-53) / 3.654


class Norm(StrEnum):
    """How the size of a perturbation is measured."""

    L1 = "l1"
    L2 = "l2"


class NoiseDistribution(Protocol):
    """Sampling and guarantee in one object: neither can be swapped without the other."""

    norm: ClassVar[Norm]
    name: ClassVar[str]

    @property
    def sigma(self) -> float:
        """Standard deviation of one value, white being 1."""
        ...

    def sample(self, generator: np.random.Generator, out: NDArray[np.float64]) -> None:
        """Fill `out` (values,) with independent noise, in units in which white is 1."""
        ...

    def radius(self, p_lower: float) -> float:
        """The radius, in units of `norm`, that a lower bound `p_lower` on the top class's probability proves.

        0 unless `p_lower` > 1/2 (also for NaN).
        """
        ...

    def probability(self, radius: float) -> float:
        """The top-class probability that `radius` needs: the inverse of `radius`."""
        ...


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Isotropic noise N(0, sigma^2 I).

    Args:
        sigma: standard deviation, in units in which white is 1.

    Raises:
        ValueError: `sigma` is not a positive number.
    """

    sigma: float
    norm: ClassVar[Norm] = Norm.L2
    name: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        """Refuse a sigma that gives no noise."""
        if not (self.sigma > 0 and math.isfinite(self.sigma)):
            raise ValueError(f"sigma must be a positive number, got {self.sigma}")

    def sample(self, generator: np.random.Generator, out: NDArray[np.float64]) -> None:
        """Fill `out` (values,) with independent N(0, sigma^2) values (numpy's 256-layer ziggurat, 52-bit)."""
        generator.standard_normal(out=out)
        out *= self.sigma

    def radius(self, p_lower: float) -> float:
        """L2 radius sigma * Phi^-1(p_lower), 0 unless `p_lower` > 1/2.

        Cohen, Rosenfeld, Kolter, ICML 2019, Theorem 1 with p_B <= 1 - p_A.
        """
        return self.sigma * float(ndtri(p_lower)) if p_lower > 0.5 else 0.0

    def probability(self, radius: float) -> float:
        """Phi(radius / sigma)."""
        return 0.5 * math.erfc(-radius / (self.sigma * math.sqrt(2)))


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
        if self.white * (1 + _LARGEST_NORMAL * noise.sigma) >= _EXACT_FLOAT32:
            largest = (_EXACT_FLOAT32 / self.white - 1) / _LARGEST_NORMAL
            raise ValueError(
                f"sigma must be below {largest:.1f} on a grid of {self.bits} extra bits, got {noise.sigma}"
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
        values = np.empty((count, image.numel()))
        stream.fill(noise.sample, values, first=first)
        values *= self.white
        np.rint(values, out=values)
        values += image.numpy().reshape(1, -1).astype(np.float64) * (1 << self.bits)
        if self.bits == 0:
            return torch.from_numpy(values.clip(0, 255).astype(np.uint8)).view(count, *image.shape)
        sums = torch.from_numpy(values.astype(np.float32))
        return sums.div_(self.white).view(count, *image.shape)

    def total_variation(self, noise: NoiseDistribution, values: int) -> float:
        """A bound on the distance between the noise that is drawn and ideal rounded noise, for `values` pixel values.

        Within a layer the ziggurat picks one of 2^52 equally spaced points, so each grid cell's probability is off by
        at most 2^-52 in each of at most 2 * 3.66 * sigma * white + 2 cells; half their sum is the total variation of
        one value. Rounding in the generator's tables, wedges and tail is of the same order; a factor 4 covers them.
        Values are independent, so distances add.
        """
        return values * 2.0**-48 * (noise.sigma * self.white + 1)


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
