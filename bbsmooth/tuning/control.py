"""A local model of the loss as a control variate: its gradient is free, and differences only pay for what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.tuning.gradients import GradientEstimate, ImageObjective
from bbsmooth.tuning.outputs import OutputDifferences

Model = Callable[[Tensor], Tensor]
"""(B, C, H, W) proposed, one variant of each image of a batch -> (B,) losses, differentiable."""


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """What a model gets wrong: the oracle's losses less `share` times the model's.

    Args:
        objective: the oracle's.
        model: of its losses, for the same batch.
        share: of the model that is taken off.
    """

    objective: ImageObjective
    model: Model
    share: float

    def propose(self, parameters: Tensor) -> Tensor:
        """As the objective."""
        return self.objective.propose(parameters)

    def losses_at(self, proposed: Tensor) -> Tensor:
        """(B,) what is left to be explained."""
        with torch.no_grad():
            return self.objective.losses_at(proposed) - self.share * self.model(proposed)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ControlVariate:
    """share * (gradient of the model) + (estimate for the oracle's loss less share * the model's).

    The estimate of a sum is the sum of estimates, so this has the mean of `estimator` whenever that is unbiased for the
    model: nothing of the model's error is left in it. Its variance is that of the estimator on the gap. Tucker et al.,
    NeurIPS 2017 (REBAR), and Grathwohl et al., ICLR 2018, use a surrogate so.

    Args:
        estimator: of the gap's gradient.
        model: of the loss, for the same batch; fixed before the batch is asked about.
        share: of the model, 1 for all of it.
    """

    estimator: OutputDifferences
    model: Model
    share: float

    @property
    def evaluations(self) -> int:
        """Those of the estimator."""
        return self.estimator.evaluations

    def estimate(
        self, objective: ImageObjective, at: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> GradientEstimate:
        """See `GradientEstimator.estimate`; the loss is that of the gap."""
        gap = self.estimator.estimate(
            Gap(objective, self.model, self.share), at, probe_radius=probe_radius, generator=generator
        )
        with torch.enable_grad():
            parameters = at.detach().clone().requires_grad_(True)
            local = self.share * self.model(objective.propose(parameters)).mean()
        (gradient,) = torch.autograd.grad(local, parameters)
        return GradientEstimate(gap.gradient + gradient, gap.loss)
