"""From parameters to losses, through the oracle's answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from bbsmooth.coordinator import Coordinator
from bbsmooth.randomness import image_digest, name_digest
from bbsmooth.tuning.executor import Ask, QueryExecutor, Question, one_by_one
from bbsmooth.tuning.losses.certified_share import CertifiedShare
from bbsmooth.tuning.losses.losses import Loss, Mistakes
from oracles import Answers, Feedback
from oracles.pixels import require_images
from oracles.probabilities import class_probabilities

QUESTION = 100
"""Most images in one question, so in flight at once."""

CLEAN_SHARE = 0.1
"""Share of a budget that may be spent on clean images, at most."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BatchObjective:
    """The mean loss on one batch of noisy images: the same images and noise whatever the parameters.

    Args:
        coordinator: in front of the oracle.
        images: (B, C, H, W) float32, noisy.
        truth: (B,) int64.
        feedback: what the oracle's answers hold.
        loss: of one answer; with labels only `Mistakes` stands in its place.
        ask: reaches the oracle.
        names: one for each question to come, in order.
        executor: in which order questions are asked that do not depend on each other.
        weights: (B,) factors of the images' losses; None for 1.
    """

    coordinator: Coordinator
    images: Tensor
    truth: Tensor
    feedback: Feedback
    loss: Loss
    ask: Ask
    names: Iterator[bytes]
    executor: QueryExecutor = one_by_one
    weights: Tensor | None = None

    @property
    def num_images(self) -> int:
        """B."""
        return len(self.images)

    def losses(self, points: Tensor) -> Tensor:
        """(K, P) parameters -> (K,) mean losses, float64."""
        with torch.no_grad():
            losses = self.losses_of(self.propose(point) for point in points)
            return torch.stack([each.double().mean() for each in losses])

    def group_losses(self, points: Tensor) -> Tensor:
        """(K, G, P) parameters, K times one point for each of G parts of the batch -> (K, G) mean losses, float64."""
        groups = points.shape[1]
        parts = torch.tensor_split(self.images, groups)

        def proposed(own: Tensor) -> Tensor:
            return torch.cat([self.coordinator.propose(part, point) for part, point in zip(parts, own, strict=True)])

        with torch.no_grad():
            found = [losses.double() for losses in self.losses_of(proposed(own) for own in points)]
        return torch.stack([torch.stack([part.mean() for part in torch.tensor_split(each, groups)]) for each in found])

    def propose(self, parameters: Tensor) -> Tensor:
        """Output of the local part with `parameters` (P,): (B, c, h, w), differentiable."""
        return self.coordinator.propose(self.images, parameters)

    def losses_at(self, proposed: Tensor) -> Tensor:
        """Losses (B,) of variants (B, c, h, w) of what was proposed, one of each image of the batch."""
        (losses,) = self.losses_of([proposed])
        return losses

    def losses_of(self, variants: Iterable[Tensor]) -> Iterator[Tensor]:
        """Losses (B,) of each of several variants (B, c, h, w), in order; each is made when its turn comes."""
        for answers in self._answers_of(self.coordinator.render(proposed.detach()) for proposed in variants):
            yield self.losses_given(class_probabilities(answers, self.feedback, _classes(answers, self.truth)))

    def losses_given(self, probabilities: Tensor) -> Tensor:
        """Losses (B,) of probabilities (B, K) about the batch, differentiable."""
        losses = self.usable_loss(probabilities, self.truth)
        return losses if self.weights is None else losses * self.weights

    @property
    def usable_loss(self) -> Loss:
        """The loss, or `Mistakes` in its place with labels only, but for a share of images, which counts votes."""
        counts = isinstance(self.loss, CertifiedShare)
        return Mistakes() if self.feedback is Feedback.LABELS and not counts else self.loss

    def answers(self, shown: Tensor) -> Answers:
        """Answers to images (N, C, H, W) in [0, 1]."""
        (answers,) = self._answers_of([shown])
        return answers

    def _answers_of(self, batches: Iterable[Tensor]) -> Iterator[Answers]:
        """Answers to each of several batches (N, C, H, W), in questions of at most `QUESTION`."""
        parts_of = deque[int]()  # each batch whose questions were begun

        def questions() -> Iterator[Question]:
            for shown in batches:
                parts = torch.split(shown, QUESTION)
                parts_of.append(len(parts))
                yield from ((part, next(self.names)) for part in parts)

        told = self.executor(self.ask, questions())
        for first in told:
            yield Answers.join([first, *islice(told, parts_of.popleft() - 1)])


def _classes(answers: Answers, truth: Tensor) -> int:
    """Number of classes in play."""
    told = 0 if answers.scores is None else answers.scores.shape[1]
    return max(told, int(truth.max()) + 1)


def affordable(queries: int) -> int:
    """Clean images that a budget of `queries` may be spent on: a tenth of it, and at least 2."""
    return max(2, int(CLEAN_SHARE * queries))


def clean_labels(images: Tensor, ask: Ask, executor: QueryExecutor = one_by_one) -> Tensor:
    """(N,) int64: the oracle's labels of the clean images (N, C, H, W) uint8. Costs N queries.

    Raises:
        ShapeError: images of another type or shape.
    """
    require_images(images)
    told = executor(ask, (_question(part) for part in torch.split(images, QUESTION)))
    return torch.cat([answers.labels for answers in told])


def _question(images: Tensor) -> Question:
    return images.float() / 255, name_digest(0, "tune", "clean", *(image_digest(image) for image in images))
