"""Training noise, drawn on the device of the images. Certificates never use it: they draw on the pixel grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.noise import NoiseDistribution
from bbsmooth.whitebox.distributed import Shard

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
        shard: part of a batch that the images are, None for all of it. Noise is drawn for the whole batch, so that an
            image gets the same whoever trains on it.
    """

    noise: NoiseDistribution
    generator: torch.Generator
    shard: Shard | None = None

    def like(self, images: Tensor) -> Tensor:
        """Fresh noise in the shape of `images` (the part of the batch, or some copies of it), white being 1."""
        if self.shard is None:
            return _UNIT[self.noise.name](torch.empty_like(images), self.generator) * self.noise.sigma
        copies = len(images) // self.shard.count
        whole = images.new_empty(copies * self.shard.whole, *images.shape[1:])
        drawn = _UNIT[self.noise.name](whole, self.generator).view(copies, -1, *images.shape[1:])
        return drawn[:, self.shard.rows].reshape(images.shape) * self.noise.sigma


def _laplace(like: Tensor, generator: torch.Generator) -> Tensor:
    """By the inverse of the distribution function; a uniform draw of exactly 0 becomes the largest negative value."""
    centred = like.uniform_(generator=generator) - 0.5
    tails = (1 - 2 * centred.abs()).clamp_min(torch.finfo(like.dtype).tiny)
    return -centred.sign() * tails.log() / math.sqrt(2)
