"""Zeroth-order descent with a distilled stand-in as control variate: free gradients, corrected by paid differences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import repeat

import torch
from torch import Tensor

from bbsmooth.tuning.estimators.control_variate import ControlVariate, Share
from bbsmooth.tuning.estimators.parameter_space import GradientEstimator
from bbsmooth.tuning.learners.protocol import Lesson, Situation
from bbsmooth.tuning.learners.recorder import Overheard
from bbsmooth.tuning.learners.surrogate.distillation import Distillation, Pupil
from bbsmooth.tuning.losses.probabilities import beliefs
from bbsmooth.tuning.objective import BatchObjective
from bbsmooth.tuning.rules.gains import Gains
from bbsmooth.tuning.rules.steps import State, StepRule
from bbsmooth.tuning.together import one_by_one
from oracles import Answers, Feedback

_SHARE, _RULE = "share", "rule."


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedDescent:
    """`Descent` on share * (the stand-in's gradient) + (differences of what the oracle says beyond that).

    The stand-in and the share follow from earlier batches alone, so the estimate is unbiased towards the oracle where
    `estimator` is, see `ControlVariate`. A stand-in that knows nothing gets a share of nothing.

    Args:
        estimator: of gradients in all parameters, from images in like parts.
        rule: that turns gradients into steps.
        gains: length of steps and reach of probes.
        distillation: of the stand-in.
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

    def learn(self, now: Situation) -> Lesson:
        """See `Learner.learn`."""
        pupil = self.distillation.recalled(now)
        share = Share(*now.memory.get(_SHARE, torch.zeros(2)).tolist())
        asked = Overheard(now.batch.together)
        variate = ControlVariate(
            estimator=self.estimator,
            model=_modelled(now.batch, pupil),
            slope=lambda at: _slope(now.batch, pupil, at),
            share=share.best,
        )
        found = variate.estimate(
            replace(now.batch, together=asked),
            now.parameters,
            probe_radius=self.gains.probe_radius_at(now.step),
            generator=now.generator,
        )
        rule = {name.removeprefix(_RULE): each for name, each in now.memory.items() if name.startswith(_RULE)}
        remembered, direction = self.rule.update(rule, found.estimate.gradient)
        believed = beliefs(asked.answers, now.batch.feedback, pupil.surrogate.num_classes)
        pupil, fitted = self.distillation.taught(pupil, asked.shown, believed, generator=now.generator)
        after = share.after(found, memory=self.remembering)
        memory = {_RULE + name: tensor for name, tensor in remembered.items()}
        return Lesson(
            now.parameters - self.gains.learning_rate_at(now.step) * direction,
            {**memory, **pupil.memory(), _SHARE: torch.tensor([after.cross, after.square])},
            {"loss": found.estimate.loss, "surrogate_loss": fitted, "surrogate_share": share.best},
        )


def _modelled(batch: BatchObjective, pupil: Pupil) -> BatchObjective:
    """The same batch with the stand-in in the oracle's place; no query."""

    def ask(images: Tensor, name: bytes) -> Answers:
        with torch.no_grad():
            logits = pupil.logits(images)
        return Answers(logits.argmax(1), logits)

    return replace(
        batch, ask=ask, names=repeat(b""), feedback=Feedback.LOGITS, loss=batch.usable_loss, together=one_by_one
    )


def _slope(batch: BatchObjective, pupil: Pupil, at: Tensor) -> Tensor:
    """The gradient of the stand-in's mean loss, through coordinator and stand-in."""
    with torch.enable_grad():
        parameters = at.detach().clone().requires_grad_(True)
        shown = batch.coordinator.render(batch.propose(parameters))
        loss = batch.losses_given(pupil.logits(shown).softmax(1)).mean()
    (gradient,) = torch.autograd.grad(loss, parameters)
    return gradient
