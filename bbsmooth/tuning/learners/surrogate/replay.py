"""All that the oracle has said so far, as training data for a surrogate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ReplayBuffer:
    """Images that the oracle was shown, and its class probabilities.

    Attributes:
        images: (N, C, H, W) uint8, rounded: a surrogate needs no more.
        probabilities: (N, K) float16.
    """

    images: Tensor
    probabilities: Tensor

    @classmethod
    def nothing(cls, image_shape: tuple[int, int, int], num_classes: int) -> ReplayBuffer:
        """Before the first answer."""
        return cls(torch.empty(0, *image_shape, dtype=torch.uint8), torch.empty(0, num_classes, dtype=torch.float16))

    def __len__(self) -> int:
        """Number of answers."""
        return len(self.images)

    def add(self, shown: Tensor, probabilities: Tensor, *, most: int) -> ReplayBuffer:
        """With `probabilities` (B, K) for `shown` (B, C, H, W) in [0, 1]; of more than `most` the oldest go."""
        images = torch.cat([self.images, (shown * 255).round().to(torch.uint8)])
        return ReplayBuffer(images[-most:], torch.cat([self.probabilities, probabilities.half()])[-most:])

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`count` of them at random: images (B, C, H, W) float32 in [0, 1], and probabilities (B, K) float32."""
        chosen = torch.randint(len(self), (count,), generator=generator)
        return self.images[chosen].float() / 255, self.probabilities[chosen].float()
