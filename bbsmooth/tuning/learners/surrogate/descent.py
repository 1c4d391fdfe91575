"""Steps of a coordinator along the gradients of a classifier that can be differentiated: they cost no query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.coordinator import Coordinator, show
from bbsmooth.tuning.learners.surrogate.training import minimise
from bbsmooth.tuning.losses.losses import Loss
from bbsmooth.tuning.noisy import NoisyImages

LogitFunction = Callable[[Tensor], Tensor]
"""(B, C, H, W) in [0, 1] -> (B, K) logits, differentiable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurrogateDescent:
    """Fresh noisy images, the classifier's loss on what is shown for them, and a pull towards the clean image.

    Args:
        steps: how many; at least 1.
        learning_rate: of the coordinator's parameters, at its peak.
        anchor: weight of the squared distance to the clean image, in units of the noise's variance: keeps what is shown
            among the images that the classifier knows.
        batch_size: images a step.

    Raises:
        ValueError: a number that is not positive (the anchor may be 0).
    """

    steps: int = 40
    learning_rate: float = 3e-3
    anchor: float = 0.1
    batch_size: int = 64

    def __post_init__(self) -> None:
        """Refuse to stand still."""
        if min(self.steps, self.learning_rate, self.batch_size) <= 0 or self.anchor < 0:
            raise ValueError(f"steps, rate and batch size must be positive and the anchor not negative, got {self}")

    def run(
        self,
        parameters: Tensor,
        *,
        coordinator: Coordinator,
        classifier: LogitFunction,
        loss: Loss,
        data: NoisyImages,
        generator: torch.Generator,
    ) -> Tensor:
        """Parameters (P,) that the classifier likes better than `parameters`, which stay as they are."""
        moving = parameters.clone()

        def loss_at() -> Tensor:
            drawn = data.sample(self.batch_size, generator)
            shown = show(coordinator, drawn.noisy, moving)
            distance = (shown - drawn.clean).square().mean() / data.noise.sigma**2
            return loss(classifier(shown).softmax(1), drawn.truth).mean() + self.anchor * distance

        minimise([moving], loss_at, steps=self.steps, learning_rate=self.learning_rate)
        return moving
