"""Tuning through a stand-in that is distilled from every answer paid for.

Round by round: ask the oracle about what it would be shown now, teach a small local classifier its answers, and let the
coordinator walk along the stand-in's gradients, which cost nothing. The next round asks about the images that this led
to, so the stand-in is corrected where it was exploited. A denoiser trained through surrogates: Salman et al., NeurIPS
2020, section 3.2, there fixed and without a query.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.coordinator import show
from bbsmooth.tuning.learners.protocol import Lesson, Situation
from bbsmooth.tuning.learners.surrogate.distillation import Distillation
from bbsmooth.tuning.learners.surrogate.walk import Walk
from bbsmooth.tuning.losses.probabilities import beliefs
from bbsmooth.tuning.rules.steps import State


@dataclass(frozen=True, slots=True, kw_only=True)
class SurrogateLearner:
    """Distil, then walk.

    Args:
        distillation: of the stand-in, each round.
        walk: of the coordinator, each round.
    """

    distillation: Distillation = Distillation()  # noqa: RUF009 - frozen
    walk: Walk = Walk()  # noqa: RUF009 - frozen

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def initial_memory(self, parameters: Tensor) -> State:
        """Nothing: the stand-in is made at the first step."""
        return {}

    def learn(self, now: Situation) -> Lesson:
        """See `Learner.learn`."""
        pupil, batch = self.distillation.recalled(now), now.batch
        with torch.no_grad():
            shown = show(batch.coordinator, batch.images, now.parameters)
        believed = beliefs(batch.answers(shown), batch.feedback, pupil.surrogate.num_classes)
        loss = float(batch.loss(believed, batch.truth).mean())
        pupil, fitted = self.distillation.taught(pupil, shown, believed, generator=now.generator)
        parameters = self.walk.from_(
            now.parameters,
            coordinator=batch.coordinator,
            classifier=pupil.logits,
            loss=batch.loss,
            data=now.data,
            generator=now.generator,
        )
        return Lesson(parameters, pupil.memory(), {"loss": loss, "surrogate_loss": fitted})
