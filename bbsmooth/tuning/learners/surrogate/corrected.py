"""Zeroth-order descent with a distilled surrogate as control variate: free gradients, corrected by paid differences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import repeat

import torch
from torch import Tensor

from bbsmooth.tuning.estimators.control_variate import Coefficient, ControlVariate
from bbsmooth.tuning.estimators.parameter_space import GradientEstimator
from bbsmooth.tuning.executor import one_by_one
from bbsmooth.tuning.learners.protocol import StepContext, StepResult
from bbsmooth.tuning.learners.recorder import Recorder
from bbsmooth.tuning.learners.surrogate.distillation import Distillation, Student
from bbsmooth.tuning.objective import BatchObjective
from bbsmooth.tuning.rules.gains import Gains
from bbsmooth.tuning.rules.steps import State, StepRule
from oracles import Answers, Feedback
from oracles.probabilities import class_probabilities

_SHARE, _RULE = "share", "rule."


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedDescent:
    """`Descent` on share * (the surrogate's gradient) + (differences of what the oracle says beyond that).

    The surrogate and the share follow from earlier batches alone, so the estimate is unbiased towards the oracle where
    `estimator` is, see `ControlVariate`. A surrogate that knows nothing gets a share of nothing.

    Args:
        estimator: of gradients in all parameters, from images in like parts.
        rule: that turns gradients into steps.
        gains: length of steps and reach of probes.
        distillation: of the surrogate.
        remembering: memory of the share, in [0, 1).
    """

    estimator: GradientEstimator
    rule: StepRule
    gains: Gains
    distillation: Distillation = Distillation()  # noqa: RUF009 - frozen
    remembering: float = 0.9

    @property
    def evaluations(self) -> int:
        """Those of one estimate."""
        return self.estimator.evaluations

    def initial_memory(self, parameters: Tensor) -> State:
        """That of the rule."""
        return {_RULE + name: tensor for name, tensor in self.rule.initial_state(parameters).items()}

    def step(self, context: StepContext) -> StepResult:
        """Take a step along a gradient that the surrogate's makes less noisy."""
        student = self.distillation.recalled(context)
        share = Coefficient(*context.memory.get(_SHARE, torch.zeros(2)).tolist())
        asked = Recorder(context.batch.executor)
        variate = ControlVariate(
            estimator=self.estimator,
            model=_modelled(context.batch, student),
            slope=lambda at: _slope(context.batch, student, at),
            share=share.best,
        )
        found = variate.estimate(
            replace(context.batch, executor=asked),
            context.parameters,
            probe_radius=self.gains.probe_radius_at(context.step),
            generator=context.generator,
        )
        rule = {name.removeprefix(_RULE): each for name, each in context.memory.items() if name.startswith(_RULE)}
        remembered, direction = self.rule.update(rule, found.estimate.gradient)
        probabilities = class_probabilities(asked.answers, context.batch.feedback, student.surrogate.num_classes)
        student, fitted = self.distillation.taught(student, asked.shown, probabilities, generator=context.generator)
        after = share.after(found, memory=self.remembering)
        memory = {_RULE + name: tensor for name, tensor in remembered.items()}
        return StepResult(
            context.parameters - self.gains.learning_rate_at(context.step) * direction,
            {**memory, **student.memory(), _SHARE: torch.tensor([after.cross, after.square])},
            {"loss": found.estimate.loss, "surrogate_loss": fitted, "surrogate_share": share.best},
        )


def _modelled(batch: BatchObjective, student: Student) -> BatchObjective:
    """The same batch with the surrogate in the oracle's place; no query."""

    def ask(images: Tensor, name: bytes) -> Answers:
        with torch.no_grad():
            logits = student.logits(images)
        return Answers(logits.argmax(1), logits)

    return replace(
        batch, ask=ask, names=repeat(b""), feedback=Feedback.LOGITS, loss=batch.usable_loss, executor=one_by_one
    )


def _slope(batch: BatchObjective, student: Student, at: Tensor) -> Tensor:
    """The gradient of the surrogate's mean loss, through coordinator and surrogate."""
    with torch.enable_grad():
        parameters = at.detach().clone().requires_grad_(True)
        shown = batch.coordinator.render(batch.propose(parameters))
        loss = batch.losses_given(student.logits(shown).softmax(1)).mean()
    (gradient,) = torch.autograd.grad(loss, parameters)
    return gradient
