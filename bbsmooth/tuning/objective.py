"""From parameters to losses, through the oracle's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.coordinator import Coordinator
from oracles import Answers, Feedback

Ask = Callable[[Tensor, bytes], Answers]
"""Images for the oracle (B, C, H, W) float32 in [0, 1], and a name from which they follow -> answers."""

FLOOR = 1e-3
"""Probabilities below this count as this: no single answer may cost more than -log(FLOOR) = 6.9."""


def true_class_probabilities(answers: Answers, truth: Tensor, feedback: Feedback) -> Tensor:
    """(B,) float32: how much of its belief the oracle gave to the true class.

    From logits by softmax. A true class that a top-k answer leaves out gets an equal share of what the named classes
    leave of 1. Where there are labels only, 1 for the right one and 0 for any other.

    Args:
        answers: of the oracle, to B images.
        truth: (B,) int64.
        feedback: what the answers hold.
    """
    if feedback is Feedback.LABELS or answers.scores is None:
        return (answers.labels == truth).float()
    if feedback is Feedback.LOGITS:
        return answers.scores.softmax(1).gather(1, truth[:, None])[:, 0]
    named = ~answers.scores.isnan()
    scores = answers.scores.nan_to_num(nan=0.0)
    share = (1 - scores.sum(1)).clamp(min=0) / (~named).sum(1).clamp(min=1)
    own = truth[:, None]
    return torch.where(named.gather(1, own)[:, 0], scores.gather(1, own)[:, 0], share).clamp(0, 1)


def losses_of(answers: Answers, truth: Tensor, feedback: Feedback) -> Tensor:
    """(B,) float32 losses: cross-entropy of the true class, bounded through `FLOOR`; with labels only, 1 for a mistake.

    The mean of the latter over images and noise is a smooth function of the parameters, though each one is a step.
    """
    probabilities = true_class_probabilities(answers, truth, feedback)
    if feedback is Feedback.LABELS or answers.scores is None:
        return 1 - probabilities
    return -probabilities.clamp(min=FLOOR).log()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BatchObjective:
    """The mean loss on one batch of noisy images: the same images and noise whatever the parameters.

    Args:
        coordinator: in front of the oracle.
        images: (B, C, H, W) float32, noisy.
        truth: (B,) int64.
        feedback: what the oracle's answers hold.
        ask: reaches the oracle.
        names: one for each question to come, in order.
    """

    coordinator: Coordinator
    images: Tensor
    truth: Tensor
    feedback: Feedback
    ask: Ask
    names: Iterator[bytes]

    def losses(self, points: Tensor) -> Tensor:
        """(K, P) parameters -> (K,) mean losses, float64."""
        with torch.no_grad():
            return torch.stack([self.image_losses(self.show(point)).double().mean() for point in points])

    def show(self, parameters: Tensor) -> Tensor:
        """What the oracle is shown with `parameters` (P,): (B, C, H, W)."""
        return self.coordinator.show(self.images, parameters)

    def image_losses(self, images: Tensor) -> Tensor:
        """Losses (B,) of `images` (B, C, H, W), which stand for the batch's images."""
        return losses_of(self.ask(images.detach(), next(self.names)), self.truth, self.feedback)
