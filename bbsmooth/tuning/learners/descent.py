"""The classical step: estimate a gradient from losses, and move against it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bbsmooth.tuning.estimators.parameter_space import GradientEstimator
from bbsmooth.tuning.learners.protocol import StepContext, StepResult
from bbsmooth.tuning.rules.gains import Gains
from bbsmooth.tuning.rules.steps import State, StepRule


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

    def step(self, context: StepContext) -> StepResult:
        """Estimate the gradient, and go where the rule says, as far as the learning rate says."""
        learning_rate, probe_radius = (
            self.gains.learning_rate_at(context.step),
            self.gains.probe_radius_at(context.step),
        )
        estimate = self.estimator.estimate(
            context.batch, context.parameters, probe_radius=probe_radius, generator=context.generator
        )
        memory, direction = self.rule.update(context.memory, estimate.gradient)
        notes = {"loss": estimate.loss, "learning_rate": learning_rate, "probe_radius": probe_radius}
        return StepResult(context.parameters - learning_rate * direction, memory, notes)
