"""Trust-region steps: a step is taken only where a fresh batch confirms what the gradient promised."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.tuning.estimators.parameter_space import GradientEstimator
from bbsmooth.tuning.learners.protocol import StepContext, StepResult
from bbsmooth.tuning.rules.steps import State

_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRegion:
    """z <- z + s where L(z) - L(z + s), measured, is at least `accepted` of what was predicted for s = -r g / |g|.

    g is a running mean of estimated gradients, r the radius, and the prediction r |g|, that of a linear model. After
    a ratio of at least `good` the radius grows, after a step that is refused it shrinks (Conn, Gould, Toint, 2000,
    algorithm 6.1.1; with losses that are estimates: Chen, Menickelly, Scheinberg, Math. Prog. 2018). A step is
    proposed from one batch and measured on the next, at both ends under the same noise, so that no batch confirms
    what it suggested itself.

    Args:
        estimator: of gradients.
        radius: of the first step.
        probe_radius: of the estimator.
        momentum: memory of the mean of gradients, in [0, 1).
        accepted: least ratio of a step that is taken.
        good: least ratio after which the radius grows.
        growth: of the radius, above 1; it shrinks by the square root, so that one good step makes up for two bad ones.

    Raises:
        ValueError: a number out of its range.
    """

    estimator: GradientEstimator
    radius: float
    probe_radius: float
    momentum: float = 0.9
    accepted: float = 0.1
    good: float = 0.75
    growth: float = 1.5

    def __post_init__(self) -> None:
        """Refuse regions that cannot move, or cannot adapt."""
        positive = min(self.radius, self.probe_radius) > 0 and self.growth > 1
        if not (positive and 0 <= self.momentum < 1 and 0 <= self.accepted <= self.good):
            raise ValueError(f"a trust region needs positive radii, growth above 1 and ordered ratios, got {self}")

    @property
    def evaluations(self) -> int:
        """Those of an estimate, and both ends of the step before."""
        return self.estimator.evaluations + 2

    def initial_memory(self, parameters: Tensor) -> State:
        """No step to be measured, no gradient seen."""
        zeros = torch.zeros_like(parameters)
        return {"step": zeros, "mean": zeros, "radius": torch.tensor(self.radius), "predicted": torch.tensor(0.0)}

    def step(self, context: StepContext) -> StepResult:
        """Judge the last step, which sets the radius, and propose one of that length against the mean gradient."""
        parameters, radius, ratio = self._measured(context)
        estimate = self.estimator.estimate(
            context.batch, parameters, probe_radius=self.probe_radius, generator=context.generator
        )
        mean = self.momentum * context.memory["mean"] + (1 - self.momentum) * estimate.gradient
        gradient = mean / (1 - self.momentum**context.step)
        length = gradient.norm().clamp(min=_TINY)
        memory = {"step": -radius * gradient / length, "mean": mean, "radius": radius, "predicted": radius * length}
        return StepResult(parameters, memory, {"loss": estimate.loss, "radius": float(radius), "ratio": ratio})

    def _measured(self, context: StepContext) -> tuple[Tensor, Tensor, float]:
        """Parameters, radius and ratio once the proposed step was measured; in the first step there is none."""
        step, radius = context.memory["step"], context.memory["radius"]
        before, after = context.batch.losses(torch.stack([context.parameters, context.parameters + step]))
        if context.step == 1:
            return context.parameters, radius, 0.0
        ratio = float((before - after) / context.memory["predicted"].double().clamp(min=_TINY))
        if not ratio >= self.accepted:
            return context.parameters, radius / self.growth**0.5, ratio
        return context.parameters + step, radius * self.growth if ratio >= self.good else radius, ratio
