"""Target of attacks: votes of the smoothed classifier, charged and recorded, for the search and for its judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.certification import Draws, Prediction, Reason, VoteSource, predict, select
from bbsmooth.certification.cases.case import Tally
from bbsmooth.randomness import name_digest
from oracles import Answers, Classes, Feedback, Purpose, RecordingOracle

WHITE = 255
ORDER = 2
"""Of the norm in which attacks are measured."""

_BEYOND = (1.0, 1.05, 1.1, 1.2, 1.35, 1.6, 2.0)
"""How far to go in the direction of an image that was turned: next to the boundary no judge can tell classes apart."""


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

    @property
    def feedback(self) -> Feedback:
        """Feedback of the oracle: what its answers hold."""
        return self.source.oracles[Purpose.ATTACK].spec.feedback

    def misclassified(self, images: Tensor, label: int) -> Tensor:
        """(B,) bool: which images (B, C, H, W) uint8 another class than `label` has most votes for.

        This is what the attacker sees. An image of which the oracle refuses a draw is not turned into anything.
        """
        tallies = self._tallies(list(images), Purpose.ATTACK, self.num_search)
        return torch.tensor([not tally.refused and self._is_other(tally, label) for tally in tallies])

    def scored(self, image: Tensor, noise: Tensor, name: bytes) -> Answers:
        """Answers to one image (C, H, W) uint8 under each of some noise (B, C, H, W), white at 1.

        Args:
            image: as an attacker sends it.
            noise: of its copies.
            name: from which image and noise follow; an answer to it is on record and never paid for twice.
        """
        oracle = RecordingOracle(self.source.oracles[Purpose.ATTACK], self.source.log.store)
        parts = torch.split(image / WHITE + noise, self.batch_size)
        return Answers.join([oracle.ask(part, name_digest(0, name, place)) for place, part in enumerate(parts)])

    def judge(self, image: Tensor) -> Prediction:
        """The smoothed class of an image (C, H, W) uint8, from votes that played no part in finding the image."""
        return self._judgement(self._tallies([image], Purpose.PREDICT, self.num_judge)[0])

    def judged(self, image: Tensor) -> Prediction | None:
        """Return what `judge` says of an image, None where that would cost a query."""
        tally = Tally.open(self.source, image, Purpose.PREDICT, self.num_judge)
        return None if tally.backlog else self._judgement(tally)

    def _judgement(self, tally: Tally) -> Prediction:
        if tally.refused:
            return Prediction(label=None, counts={}, p_value=1.0, alpha=self.alpha, reason=Reason.REFUSED)
        return predict(tally.counts, self.classes, alpha=self.alpha)

    def _is_other(self, tally: Tally, label: int) -> bool:
        leader = select(tally.counts, self.classes)
        return leader != label and self.classes.is_answer(leader)

    def _tallies(self, images: Sequence[Tensor], purpose: Purpose, size: int) -> list[Tally]:
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
        return tallies

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


def beyond(image: Tensor, turned: Tensor) -> Iterator[Tensor]:
    """Images (C, H, W) uint8 on the line from `image` to `turned`, from there to twice as far."""
    step = turned.float() - image
    yield from (on_grid(image, ((image + factor * step) / WHITE).clamp(0, 1)) for factor in _BEYOND)


def distance(first: Tensor, second: Tensor, order: float) -> float:
    """The norm of the difference of two uint8 images, white being 1; `order` 1, 2 or infinity."""
    difference = (first.double() - second.double()).flatten() / WHITE
    return float(torch.linalg.vector_norm(difference, order))
