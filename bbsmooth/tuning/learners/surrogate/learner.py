"""Tuning through a surrogate that is distilled from every answer paid for.

Round by round: ask the oracle about what it would be shown now, teach a small local classifier its answers, and let the
coordinator descend along the surrogate's gradients, which cost nothing. The next round asks about the images that this
led to, so the surrogate is corrected where it was exploited. A denoiser trained through surrogates: Salman et al.,
NeurIPS 2020, section 3.2, there fixed and without a query.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.coordinator import show
from bbsmooth.tuning.learners.protocol import StepContext, StepResult
from bbsmooth.tuning.learners.surrogate.descent import SurrogateDescent
from bbsmooth.tuning.learners.surrogate.distillation import Distillation
from bbsmooth.tuning.rules.steps import State
from oracles.probabilities import class_probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class SurrogateLearner:
    """Distil, then descend.

    Args:
        distillation: of the surrogate, each round.
        descent: of the coordinator, each round.
    """

    distillation: Distillation = Distillation()  # noqa: RUF009 - frozen
    descent: SurrogateDescent = SurrogateDescent()  # noqa: RUF009 - frozen

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def initial_memory(self, parameters: Tensor) -> State:
        """Nothing: the surrogate is made at the first step."""
        return {}

    def step(self, context: StepContext) -> StepResult:
        """Teach the surrogate with the answers about the batch, and descend on it."""
        student, batch = self.distillation.recalled(context), context.batch
        with torch.no_grad():
            shown = show(batch.coordinator, batch.images, context.parameters)
        probabilities = class_probabilities(batch.answers(shown), batch.feedback, student.surrogate.num_classes)
        loss = float(batch.loss(probabilities, batch.truth).mean())
        student, fitted = self.distillation.taught(student, shown, probabilities, generator=context.generator)
        parameters = self.descent.run(
            context.parameters,
            coordinator=batch.coordinator,
            classifier=student.logits,
            loss=batch.loss,
            data=context.data,
            generator=context.generator,
        )
        return StepResult(parameters, student.memory(), {"loss": loss, "surrogate_loss": fitted})
