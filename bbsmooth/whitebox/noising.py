"""Training noise for images, or for the part of a batch that one process trains on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.noise import NoiseDistribution
from bbsmooth.noise.training import noise_like
from bbsmooth.whitebox.distributed import Shard


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
            return noise_like(images, self.noise, self.generator)
        copies = len(images) // self.shard.count
        whole = images.new_empty(copies * self.shard.whole, *images.shape[1:])
        drawn = noise_like(whole, self.noise, self.generator).view(copies, -1, *images.shape[1:])
        return drawn[:, self.shard.rows].reshape(images.shape)
