"""What an attack may ask, and how its success is judged: votes of the smoothed classifier, charged and recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.certification import Draws, Prediction, VoteSource, predict, select
from bbsmooth.certification.case import Tally
from oracles import Classes, Purpose

WHITE = 255
ORDER = 2
"""Of the norm in which attacks are measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothedTarget:
    """The smoothed classifier as an attacker meets it.

    Args:
        source: gives the votes; those of `Purpose.ATTACK` serve the search, those of `Purpose.PREDICT` its judge.
        classes: of the oracle.
        num_search: votes behind one answer to the attacker.
        num_judge: votes behind a judgement.
        alpha: of a judgement.
        batch_size: draws in one call of the oracle.
    """

    source: VoteSource
    classes: Classes
    num_search: int
    num_judge: int
    alpha: float
    batch_size: int

    def answers(self, images: Tensor) -> Tensor:
        """(B,) the class of most votes for each of the images (B, C, H, W) uint8, as the attacker sees it."""
        counts = self._counts(list(images), Purpose.ATTACK, self.num_search)
        return torch.tensor([select(count, self.classes) for count in counts])

    def judge(self, image: Tensor) -> Prediction:
        """The smoothed class of an image (C, H, W) uint8, from votes that played no part in finding the image."""
        (counts,) = self._counts([image], Purpose.PREDICT, self.num_judge)
        return predict(counts, self.classes, alpha=self.alpha)

    def _counts(self, images: Sequence[Tensor], purpose: Purpose, size: int) -> list[Counter[int]]:
        tallies = [Tally.open(self.source, image, purpose, size) for image in images]
        batch: list[tuple[Tally, Draws]] = []
        room = self.batch_size
        for tally in tallies:
            while tally.backlog:
                batch.append((tally, tally.take(room)))
                room -= batch[-1][1].count
                if not room:
                    self._ask(batch, purpose)
                    batch, room = [], self.batch_size
        if batch:
            self._ask(batch, purpose)
        return [tally.counts for tally in tallies]

    def _ask(self, batch: Sequence[tuple[Tally, Draws]], purpose: Purpose) -> None:
        answers = self.source.votes([draws for _, draws in batch], purpose)
        for (tally, _), labels in zip(batch, answers, strict=True):
            tally.tell(labels)


def on_grid(image: Tensor, moved: Tensor) -> Tensor:
    """The image on the pixel grid next to `moved`, each pixel rounded towards `image`, so that no norm grows.

    Args:
        image: (..., H, W) uint8.
        moved: the same shape, floats with white at 1.

    Returns:
        The same shape, uint8.
    """
    steps = moved.double() * WHITE - image
    return (image + (steps + steps.sign() * 1e-4).trunc()).clamp(0, WHITE).to(torch.uint8)


def distance(first: Tensor, second: Tensor, order: float) -> float:
    """The norm of the difference of two uint8 images, white being 1; `order` 1, 2 or infinity."""
    difference = (first.double() - second.double()).flatten() / WHITE
    return float(torch.linalg.vector_norm(difference, order))
