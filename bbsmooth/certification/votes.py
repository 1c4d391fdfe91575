"""Labels of noisy copies: from draws to votes, each recorded before it is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.noise import Grid, NoiseDistribution, stream_name
from bbsmooth.randomness import Stream
from oracles import Oracle, Purpose, VoteLog


@dataclass(frozen=True, slots=True)
class Draws:
    """Consecutive draws of one image.

    Attributes:
        image: (C, H, W) uint8.
        stream: names the noise.
        first: number of the first draw.
        count: how many.
    """

    image: Tensor
    stream: bytes
    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteSource:
    """Gives votes on noisy copies of images.

    Args:
        oracles: the classifier to ask, by purpose, so that each is charged to its own account.
        log: keeps every vote.
        noise: what is added to an image.
        grid: on which it is added.
        seed: of all draws. Selection and estimation have streams of their own, so they never share a draw.
    """

    oracles: Mapping[Purpose, Oracle]
    log: VoteLog
    noise: NoiseDistribution
    grid: Grid
    seed: int

    def stream(self, image: Tensor, purpose: Purpose) -> bytes:
        """The name of the stream of an image's draws: see `stream_name`."""
        return stream_name(self.seed, purpose.value, image, self.noise, self.grid)

    def votes(self, batch: Sequence[Draws], purpose: Purpose) -> list[Tensor]:
        """Ask about a batch of draws in one call of the oracle.

        Returns:
            For each entry its labels (count,), all of them in the log.
        """
        images = torch.cat(
            [
                self.grid.noisy(draws.image, self.noise, Stream(draws.stream), first=draws.first, count=draws.count)
                for draws in batch
            ]
        )
        labels = list(torch.split(self.oracles[purpose].query(images).labels, [draws.count for draws in batch]))
        self.log.write([(draws.stream, draws.first, part) for draws, part in zip(batch, labels, strict=True)])
        return labels
