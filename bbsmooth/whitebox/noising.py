"""Training noise, drawn on the device of the images. Certificates never use it: they draw on the pixel grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.noise import NoiseDistribution

_UNIT: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "gaussian": lambda like, generator: like.normal_(generator=generator),
    "uniform": lambda like, generator: like.uniform_(-math.sqrt(3), math.sqrt(3), generator=generator),
    "laplace": lambda like, generator: _laplace(like, generator),
}
"""Fills a tensor with noise of standard deviation 1, by the name of its distribution."""


@dataclass(frozen=True, slots=True)
class Noising:
    """Draws of one distribution.

    Args:
        noise: which.
        generator: source of the draws, on the device of the images.
    """

    noise: NoiseDistribution
    generator: torch.Generator

    def like(self, images: Tensor) -> Tensor:
        """Fresh noise in the shape of `images`, white being 1."""
        return _UNIT[self.noise.name](torch.empty_like(images), self.generator) * self.noise.sigma


def _laplace(like: Tensor, generator: torch.Generator) -> Tensor:
    """By the inverse of the distribution function; a uniform draw of exactly 0 becomes the largest negative value."""
    centred = like.uniform_(generator=generator) - 0.5
    tails = (1 - 2 * centred.abs()).clamp_min(torch.finfo(like.dtype).tiny)
    return -centred.sign() * tails.log() / math.sqrt(2)
