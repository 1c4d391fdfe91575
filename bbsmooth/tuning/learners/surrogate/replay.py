"""All that the oracle has said so far, as training data for a stand-in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Images that the oracle was shown, and its beliefs.

    Attributes:
        images: (N, C, H, W) uint8, rounded: a stand-in needs no more.
        beliefs: (N, K) float16.
    """

    images: Tensor
    beliefs: Tensor

    @classmethod
    def nothing(cls, image_shape: tuple[int, int, int], num_classes: int) -> Told:
        """Before the first answer."""
        return cls(torch.empty(0, *image_shape, dtype=torch.uint8), torch.empty(0, num_classes, dtype=torch.float16))

    def __len__(self) -> int:
        """Number of answers."""
        return len(self.images)

    def add(self, shown: Tensor, beliefs: Tensor, *, most: int) -> Told:
        """With answers `beliefs` (B, K) to `shown` (B, C, H, W) in [0, 1]; of more than `most` the oldest go."""
        images = torch.cat([self.images, (shown * 255).round().to(torch.uint8)])
        return Told(images[-most:], torch.cat([self.beliefs, beliefs.half()])[-most:])

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`count` of them at random: images (B, C, H, W) float32 in [0, 1], and beliefs (B, K) float32."""
        chosen = torch.randint(len(self), (count,), generator=generator)
        return self.images[chosen].float() / 255, self.beliefs[chosen].float()
