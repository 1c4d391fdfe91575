"""Noise for training, drawn in floating point on the device of the images. Certificates never use it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bbsmooth.noise.distribution import NoiseDistribution

_UNIT: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "gaussian": lambda like, generator: like.normal_(generator=generator),
    "uniform": lambda like, generator: like.uniform_(-math.sqrt(3), math.sqrt(3), generator=generator),
    "laplace": lambda like, generator: _laplace(like, generator),
}
"""Fills a tensor with noise of standard deviation 1, by the name of its distribution."""


def noise_like(images: Tensor, noise: NoiseDistribution, generator: torch.Generator) -> Tensor:
    """Return fresh noise in the shape and on the device of `images`, white being 1.

    Args:
        images: floating point.
        noise: its distribution.
        generator: source of the draws, on the same device.
    """
    return _UNIT[noise.name](torch.empty_like(images), generator) * noise.sigma


def _laplace(like: Tensor, generator: torch.Generator) -> Tensor:
    """By the inverse of the distribution function; a uniform draw of exactly 0 becomes the largest negative value."""
    centred = like.uniform_(generator=generator) - 0.5
    tails = (1 - 2 * centred.abs()).clamp_min(torch.finfo(like.dtype).tiny)
    return -centred.sign() * tails.log() / math.sqrt(2)
