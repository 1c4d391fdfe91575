"""From parameters to losses, through the oracle's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.coordinator import Coordinator
from bbsmooth.tuning.beliefs import beliefs
from bbsmooth.tuning.losses import Loss, Mistakes
from oracles import Answers, Feedback

Ask = Callable[[Tensor, bytes], Answers]
"""Images for the oracle (B, C, H, W) float32 in [0, 1], and a name from which they follow -> answers."""

QUESTION = 100
"""Most images in one question, so in flight at once."""


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
    """

    coordinator: Coordinator
    images: Tensor
    truth: Tensor
    feedback: Feedback
    loss: Loss
    ask: Ask
    names: Iterator[bytes]

    def losses(self, points: Tensor) -> Tensor:
        """(K, P) parameters -> (K,) mean losses, float64."""
        with torch.no_grad():
            return torch.stack([self.losses_at(self.propose(point)).double().mean() for point in points])

    def group_losses(self, points: Tensor) -> Tensor:
        """(G, P) parameters, one point for each of G parts of the batch -> (G,) mean losses of the parts, float64."""
        parts = torch.tensor_split(self.images, len(points))
        with torch.no_grad():
            proposed = [self.coordinator.propose(part, point) for part, point in zip(parts, points, strict=True)]
            losses = self.losses_at(torch.cat(proposed)).double()
        return torch.stack([part.mean() for part in torch.tensor_split(losses, len(points))])

    def propose(self, parameters: Tensor) -> Tensor:
        """What leaves the local part with `parameters` (P,): (B, c, h, w), differentiable."""
        return self.coordinator.propose(self.images, parameters)

    def losses_at(self, proposed: Tensor) -> Tensor:
        """Losses (B,) of variants (B, c, h, w) of what was proposed, one of each image of the batch."""
        answers = self.answers(self.coordinator.render(proposed.detach()))
        loss = Mistakes() if self.feedback is Feedback.LABELS else self.loss
        return loss(beliefs(answers, self.feedback, _classes(answers, self.truth)), self.truth)

    def answers(self, shown: Tensor) -> Answers:
        """Answers to images (N, C, H, W) in [0, 1], in questions of at most `QUESTION`."""
        return Answers.join([self.ask(part, next(self.names)) for part in torch.split(shown, QUESTION)])


def _classes(answers: Answers, truth: Tensor) -> int:
    """How many classes are in play."""
    told = 0 if answers.scores is None else answers.scores.shape[1]
    return max(told, int(truth.max()) + 1)
