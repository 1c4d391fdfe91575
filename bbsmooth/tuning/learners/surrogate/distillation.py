"""Teaching a small local classifier what the oracle said.

Distillation: Hinton et al., arXiv 1503.02531.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.coordinator import show
from bbsmooth.tuning.learners.protocol import StepContext
from bbsmooth.tuning.learners.surrogate.network import Surrogate, in_layout
from bbsmooth.tuning.learners.surrogate.replay import ReplayBuffer
from bbsmooth.tuning.learners.surrogate.training import minimise
from bbsmooth.tuning.rules.steps import State

_IMAGES, _PROBABILITIES, _WEIGHT = "told.images", "told.beliefs", "weight."


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Student:
    """A surrogate for the oracle, and all that it was told.

    Attributes:
        surrogate: what it is.
        weights: of it; not to be changed.
        told: images and the oracle's probabilities.
    """

    surrogate: Surrogate
    weights: Mapping[str, Tensor]
    told: ReplayBuffer

    def logits(self, images: Tensor) -> Tensor:
        """(B, K) for images (B, C, H, W) in [0, 1], differentiable."""
        return self.surrogate.logits(self.weights, images)

    def memory(self) -> State:
        """All of it, by name."""
        weights = {_WEIGHT + name: weight.contiguous() for name, weight in self.weights.items()}
        return {_IMAGES: self.told.images, _PROBABILITIES: self.told.probabilities} | weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """Settings of a surrogate's teaching.

    Args:
        widths: of the surrogate.
        warm_up_steps: on the true labels, before the first answer.
        fit_steps: on the oracle's answers, each round.
        fit_rate: learning rate.
        batch_size: images a step.
        replay_capacity: answers that are kept.

    Raises:
        ValueError: a number that is not positive (the warm-up may be 0).
    """

    widths: tuple[int, ...] = (24, 48, 96)
    warm_up_steps: int = 300
    fit_steps: int = 60
    fit_rate: float = 3e-3
    batch_size: int = 64
    replay_capacity: int = 100_000

    def __post_init__(self) -> None:
        """Refuse rounds in which nothing is learnt."""
        positive = (self.fit_steps, self.fit_rate, self.batch_size, self.replay_capacity)
        if min(positive) <= 0 or self.warm_up_steps < 0:
            raise ValueError(f"steps, rates and sizes must be positive, got {self}")

    def recalled(self, context: StepContext) -> Student:
        """The surrogate of the step before; at first one that knows the labels of what the oracle would be shown."""
        channels, height, width = context.data.images.shape[1:]
        num_classes = int(context.data.labels.max()) + 1
        surrogate = Surrogate(image_shape=(channels, height, width), num_classes=num_classes, widths=self.widths)
        weights = {
            name.removeprefix(_WEIGHT): each for name, each in context.memory.items() if name.startswith(_WEIGHT)
        }
        if not weights:
            told = ReplayBuffer.nothing(surrogate.image_shape, num_classes)
            return Student(surrogate=surrogate, weights=self._warmed_up(surrogate, context), told=told)
        laid_out = {name: in_layout(weight) for name, weight in weights.items()}
        return Student(
            surrogate=surrogate,
            weights=laid_out,
            told=ReplayBuffer(context.memory[_IMAGES], context.memory[_PROBABILITIES]),
        )

    def taught(
        self, student: Student, shown: Tensor, probabilities: Tensor, *, generator: torch.Generator
    ) -> tuple[Student, float]:
        """The surrogate once it heard of probabilities (B, K) about images (B, C, H, W), and its mean cross-entropy."""
        told = student.told.add(shown, probabilities, most=self.replay_capacity)
        weights = {name: in_layout(weight.clone()) for name, weight in student.weights.items()}

        def loss_at() -> Tensor:
            images, wanted = told.draw(self.batch_size, generator)
            return F.cross_entropy(student.surrogate.logits(weights, images), wanted)

        loss = minimise(list(weights.values()), loss_at, steps=self.fit_steps, learning_rate=self.fit_rate)
        return replace(student, weights=weights, told=told), loss

    def _warmed_up(self, surrogate: Surrogate, context: StepContext) -> dict[str, Tensor]:
        weights = surrogate.initial_weights(context.generator)

        def loss_at() -> Tensor:
            drawn = context.data.sample(self.batch_size, context.generator)
            with torch.no_grad():
                shown = show(context.batch.coordinator, drawn.noisy, context.parameters)
            return F.cross_entropy(surrogate.logits(weights, shown), drawn.truth)

        if self.warm_up_steps:
            minimise(list(weights.values()), loss_at, steps=self.warm_up_steps, learning_rate=self.fit_rate)
        return weights
