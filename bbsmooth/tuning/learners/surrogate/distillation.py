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
from bbsmooth.tuning.learners.protocol import Situation
from bbsmooth.tuning.learners.surrogate.network import Surrogate, in_layout
from bbsmooth.tuning.learners.surrogate.replay import Told
from bbsmooth.tuning.learners.surrogate.training import minimise
from bbsmooth.tuning.rules.steps import State

_IMAGES, _BELIEFS, _WEIGHT = "told.images", "told.beliefs", "weight."


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pupil:
    """A stand-in for the oracle, and all that it was told.

    Attributes:
        surrogate: what it is.
        weights: of it; not to be changed.
        told: images and the oracle's beliefs.
    """

    surrogate: Surrogate
    weights: Mapping[str, Tensor]
    told: Told

    def logits(self, images: Tensor) -> Tensor:
        """(B, K) for images (B, C, H, W) in [0, 1], differentiable."""
        return self.surrogate.logits(self.weights, images)

    def memory(self) -> State:
        """All of it, by name."""
        weights = {_WEIGHT + name: weight.contiguous() for name, weight in self.weights.items()}
        return {_IMAGES: self.told.images, _BELIEFS: self.told.beliefs} | weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """How a stand-in is taught.

    Args:
        widths: of the stand-in.
        warm_up_steps: on the true labels, before the first answer.
        fit_steps: on the oracle's answers, each round.
        fit_rate: learning rate.
        batch_size: images a step.
        most_told: answers that are kept.

    Raises:
        ValueError: a number that is not positive (the warm-up may be 0).
    """

    widths: tuple[int, ...] = (24, 48, 96)
    warm_up_steps: int = 300
    fit_steps: int = 60
    fit_rate: float = 3e-3
    batch_size: int = 64
    most_told: int = 100_000

    def __post_init__(self) -> None:
        """Refuse rounds in which nothing is learnt."""
        positive = (self.fit_steps, self.fit_rate, self.batch_size, self.most_told)
        if min(positive) <= 0 or self.warm_up_steps < 0:
            raise ValueError(f"steps, rates and sizes must be positive, got {self}")

    def recalled(self, now: Situation) -> Pupil:
        """The stand-in of the step before; at first one that knows the labels of what the oracle would be shown."""
        channels, height, width = now.batch.coordinator.image_shape
        num_classes = int(now.data.labels.max()) + 1
        surrogate = Surrogate(image_shape=(channels, height, width), num_classes=num_classes, widths=self.widths)
        weights = {name.removeprefix(_WEIGHT): each for name, each in now.memory.items() if name.startswith(_WEIGHT)}
        if not weights:
            told = Told.nothing(surrogate.image_shape, num_classes)
            return Pupil(surrogate=surrogate, weights=self._warmed_up(surrogate, now), told=told)
        laid_out = {name: in_layout(weight) for name, weight in weights.items()}
        return Pupil(surrogate=surrogate, weights=laid_out, told=Told(now.memory[_IMAGES], now.memory[_BELIEFS]))

    def taught(
        self, pupil: Pupil, shown: Tensor, believed: Tensor, *, generator: torch.Generator
    ) -> tuple[Pupil, float]:
        """The stand-in once it heard of beliefs (B, K) about images (B, C, H, W), and its mean cross-entropy."""
        told = pupil.told.add(shown, believed, most=self.most_told)
        weights = {name: in_layout(weight.clone()) for name, weight in pupil.weights.items()}

        def loss_at() -> Tensor:
            images, wanted = told.draw(self.batch_size, generator)
            return F.cross_entropy(pupil.surrogate.logits(weights, images), wanted)

        loss = minimise(list(weights.values()), loss_at, steps=self.fit_steps, learning_rate=self.fit_rate)
        return replace(pupil, weights=weights, told=told), loss

    def _warmed_up(self, surrogate: Surrogate, now: Situation) -> dict[str, Tensor]:
        weights = surrogate.initial_weights(now.generator)

        def loss_at() -> Tensor:
            drawn = now.data.sample(self.batch_size, now.generator)
            with torch.no_grad():
                shown = show(now.batch.coordinator, drawn.noisy, now.parameters)
            return F.cross_entropy(surrogate.logits(weights, shown), drawn.truth)

        if self.warm_up_steps:
            minimise(list(weights.values()), loss_at, steps=self.warm_up_steps, learning_rate=self.fit_rate)
        return weights
