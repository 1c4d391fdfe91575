"""Labelled images, and noisy copies of them with draws that follow from a name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bbsmooth.noise import Grid, NoiseDistribution, stream_name
from bbsmooth.randomness import Stream, image_digest

_WHITE = 255


class Sample(NamedTuple):
    """Images under noise (B, C, H, W), the same without, and their labels (B,)."""

    noisy: Tensor
    clean: Tensor
    truth: Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NoisyImages:
    """Images under noise, for one purpose.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64, numbers of the oracle's classes.
        noise: what is added.
        grid: on which it is added.
        seed: of all draws.
        purpose: part of the name of every stream, so that purposes share no draw.
    """

    images: Tensor
    labels: Tensor
    noise: NoiseDistribution
    grid: Grid
    seed: int
    purpose: str

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def part(self, first: int, last: int) -> NoisyImages:
        """Images `first` to `last`, the latter left out, with the noise that they have here."""
        return replace(self, images=self.images[first:last], labels=self.labels[first:last])

    def digest(self) -> bytes:
        """SHA-256 over all images and labels, in order."""
        return hashlib.sha256(
            b"".join(map(image_digest, self.images)) + self.labels.contiguous().numpy().tobytes()
        ).digest()

    def draw(self, indices: list[int], draws: list[int]) -> Tensor:
        """(B, C, H, W) float32: image `indices[i]` with its draw number `draws[i]`, white at 1, not clipped."""
        return torch.stack([self._one(index, draw) for index, draw in zip(indices, draws, strict=True)])

    def sample(self, count: int, generator: torch.Generator) -> Sample:
        """`count` images at random under fresh noise, float32 with white at 1, for what is computed without a query."""
        chosen = torch.randint(len(self), (count,), generator=generator)
        clean = self.images[chosen].float() / _WHITE
        seed = int(torch.randint(2**62, (), generator=generator))
        draws = np.empty((count, clean[0].numel()))
        self.noise.sample(np.random.default_rng(seed), draws)
        return Sample(clean + torch.from_numpy(draws).float().view(clean.shape), clean, self.labels[chosen])

    def _one(self, index: int, draw: int) -> Tensor:
        image = self.images[index]
        stream = Stream(stream_name(self.seed, self.purpose, image, self.noise, self.grid))
        noisy = self.grid.noisy(image, self.noise, stream, first=draw, count=1)[0]
        return noisy.float() / _WHITE if noisy.dtype == torch.uint8 else noisy
