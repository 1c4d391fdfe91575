"""Training images, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.whitebox.distributed import ALONE, Group, Shard


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """Training images.

    Attributes:
        pixels: (N, C, H, W) uint8.
        labels: (N,) int64.
    """

    pixels: Tensor
    labels: Tensor

    def batches(
        self, size: int, generator: torch.Generator, device: torch.device, group: Group = ALONE, *, least: int = 1
    ) -> Iterator[tuple[Shard, Tensor, Tensor]]:
        """All images once, in random order, in batches of `size`: of each the part of this process.

        Args:
            size: images in a batch; the last has what is left.
            generator: of the order.
            device: to put them on.
            group: processes that share each batch.
            least: images that a batch needs; with 2 a last one of a single image joins the batch before it.

        Yields:
            The part, and its images (B, C, H, W) float in [0, 1] and labels (B,) on `device`.
        """
        for batch in torch.split(torch.randperm(len(self.pixels), generator=generator), self._sizes(size, least)):
            shard = group.shard(len(batch))
            chosen = batch[shard.rows]
            yield shard, self.pixels[chosen].to(device).float() / 255, self.labels[chosen].to(device)

    def divided(self, share: float) -> tuple[TrainingImages, TrainingImages]:
        """All but the last `share` of the images, and these; of two or more images at least one on each side."""
        number = len(self.pixels)
        kept = min(max(number - round(share * number), 1), max(number - 1, 1))
        return TrainingImages(self.pixels[:kept], self.labels[:kept]), TrainingImages(
            self.pixels[kept:], self.labels[kept:]
        )

    def steps(self, size: int, *, least: int = 1) -> int:
        """Batches in an epoch."""
        return len(self._sizes(size, least))

    def _sizes(self, size: int, least: int) -> list[int]:
        whole, rest = divmod(len(self.pixels), size)
        sizes = [size] * whole + [rest] * (rest > 0)
        return sizes if len(sizes) < 2 or sizes[-1] >= least else [*sizes[:-2], sum(sizes[-2:])]
