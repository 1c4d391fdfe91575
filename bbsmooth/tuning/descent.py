"""The classical step: estimate a gradient from losses, and move against it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.tuning.gains import Gains
from bbsmooth.tuning.gradients import GradientEstimator
from bbsmooth.tuning.learner import Lesson
from bbsmooth.tuning.noisy import NoisyImages
from bbsmooth.tuning.objective import BatchObjective
from bbsmooth.tuning.steps import State, StepRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """z <- z - a_k * direction(gradient estimated c_k around z).

    Args:
        estimator: of gradients.
        rule: that turns gradients into steps.
        gains: length of steps and reach of probes.
    """

    estimator: GradientEstimator
    rule: StepRule
    gains: Gains

    @property
    def evaluations(self) -> int:
        """Those of one estimate."""
        return self.estimator.evaluations

    def initial_memory(self, parameters: Tensor) -> State:
        """That of the rule."""
        return self.rule.initial_state(parameters)

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
        learning_rate, probe_radius = self.gains.learning_rate_at(step), self.gains.probe_radius_at(step)
        estimate = self.estimator.estimate(batch, parameters, probe_radius=probe_radius, generator=generator)
        memory, direction = self.rule.update(memory, estimate.gradient)
        notes = {"loss": estimate.loss, "learning_rate": learning_rate, "probe_radius": probe_radius}
        return Lesson(parameters - learning_rate * direction, memory, notes)
