"""Tuning through a stand-in that is distilled from every answer paid for.

Round by round: ask the oracle about what it would be shown now, teach a small local classifier its answers, and let the
coordinator walk along the stand-in's gradients, which cost nothing. The next round asks about the images that this led
to, so the stand-in is corrected where it was exploited. Distillation: Hinton et al., arXiv 1503.02531; a denoiser
trained through surrogates: Salman et al., NeurIPS 2020, section 3.2, there fixed and without a query.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.coordinator import Coordinator, show
from bbsmooth.tuning.beliefs import beliefs
from bbsmooth.tuning.learner import Lesson
from bbsmooth.tuning.noisy import NoisyImages
from bbsmooth.tuning.objective import BatchObjective
from bbsmooth.tuning.steps import State
from bbsmooth.tuning.surrogate.memory import Told
from bbsmooth.tuning.surrogate.network import Surrogate, in_layout
from bbsmooth.tuning.surrogate.training import minimise
from bbsmooth.tuning.surrogate.walk import Walk

_IMAGES, _BELIEFS, _WEIGHT = "told.images", "told.beliefs", "weight."


@dataclass(frozen=True, slots=True, kw_only=True)
class SurrogateLearner:
    """Distil, then walk.

    Args:
        widths: of the stand-in.
        warm_up_steps: on the true labels, before the first answer.
        fit_steps: on the oracle's answers, each round.
        fit_rate: learning rate of the stand-in.
        walk: of the coordinator, each round.
        batch_size: images a step of the stand-in.
        most_told: answers that are kept.

    Raises:
        ValueError: a number that is not positive (the warm-up may be 0).
    """

    widths: tuple[int, ...] = (24, 48, 96)
    warm_up_steps: int = 300
    fit_steps: int = 60
    fit_rate: float = 3e-3
    walk: Walk = Walk()  # noqa: RUF009 - frozen
    batch_size: int = 64
    most_told: int = 100_000

    def __post_init__(self) -> None:
        """Refuse rounds in which nothing is learnt."""
        positive = (self.fit_steps, self.fit_rate, self.batch_size, self.most_told)
        if min(positive) <= 0 or self.warm_up_steps < 0:
            raise ValueError(f"steps, rates and sizes must be positive, got {self}")

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def initial_memory(self, parameters: Tensor) -> State:
        """Nothing: the stand-in is made at the first step."""
        return {}

    def learn(
        self,
        batch: BatchObjective,
        parameters: Tensor,
        memory: State,
        *,
        step: int,
        data: NoisyImages,
        generator: torch.Generator,
    ) -> Lesson:
        """See `Learner.learn`."""
        coordinator = batch.coordinator
        num_classes = int(data.labels.max()) + 1
        with torch.no_grad():
            shown = show(coordinator, batch.images, parameters)
        believed = beliefs(batch.answers(shown), batch.feedback, num_classes)
        loss = float(batch.loss(believed, batch.truth).mean())
        surrogate = Surrogate(
            image_shape=(shown.shape[1], shown.shape[2], shown.shape[3]), num_classes=num_classes, widths=self.widths
        )
        told = _told(memory, surrogate).add(shown, believed, most=self.most_told)
        weights = _weights(memory) or self._warm_up(surrogate, coordinator, parameters, data, generator)
        fitted = self._fit(surrogate, weights, told, generator)
        parameters = self.walk.from_(
            parameters,
            coordinator=coordinator,
            classifier=lambda images: surrogate.logits(weights, images),
            loss=batch.loss,
            data=data,
            generator=generator,
        )
        kept = {_IMAGES: told.images, _BELIEFS: told.beliefs} | {
            _WEIGHT + name: weight.contiguous() for name, weight in weights.items()
        }
        return Lesson(parameters, kept, {"loss": loss, "surrogate_loss": fitted})

    def _warm_up(
        self,
        surrogate: Surrogate,
        coordinator: Coordinator,
        parameters: Tensor,
        data: NoisyImages,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Weights (new tensors) of a stand-in that knows the true labels of what the oracle would be shown."""
        weights = surrogate.initial_weights(generator)

        def loss_at() -> Tensor:
            drawn = data.sample(self.batch_size, generator)
            with torch.no_grad():
                shown = show(coordinator, drawn.noisy, parameters)
            return F.cross_entropy(surrogate.logits(weights, shown), drawn.truth)

        if self.warm_up_steps:
            minimise(list(weights.values()), loss_at, steps=self.warm_up_steps, learning_rate=self.fit_rate)
        return weights

    def _fit(self, surrogate: Surrogate, weights: dict[str, Tensor], told: Told, generator: torch.Generator) -> float:
        """Teach `weights` in place; the mean cross-entropy."""

        def loss_at() -> Tensor:
            images, wanted = told.draw(self.batch_size, generator)
            return F.cross_entropy(surrogate.logits(weights, images), wanted)

        return minimise(list(weights.values()), loss_at, steps=self.fit_steps, learning_rate=self.fit_rate)


def _told(memory: State, surrogate: Surrogate) -> Told:
    if _IMAGES not in memory:
        return Told.nothing(surrogate.image_shape, surrogate.num_classes)
    return Told(memory[_IMAGES], memory[_BELIEFS])


def _weights(memory: State) -> dict[str, Tensor]:
    """The stand-in's weights, as copies that may be changed, laid out as convolutions are fastest."""
    return {
        name.removeprefix(_WEIGHT): in_layout(tensor.clone())
        for name, tensor in memory.items()
        if name.startswith(_WEIGHT)
    }
