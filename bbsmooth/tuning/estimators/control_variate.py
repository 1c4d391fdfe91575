"""A local model of the loss as a control variate: its gradient is free, and differences only pay for what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bbsmooth.tuning.estimators.parameter_space import BatchLosses, GradientEstimate, GradientEstimator

_TINY = 1e-12


class Controlled(NamedTuple):
    """An estimate, and what it was made of.

    Attributes:
        estimate: the corrected one.
        plain: (P,) the estimate from the oracle's losses alone.
        surplus: (P,) what the same probes got wrong about the model; its mean is zero.
    """

    estimate: GradientEstimate
    plain: Tensor
    surplus: Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ControlVariate:
    """share * (gradient of the model) + (estimate for the oracle's loss less share * the model's).

    The oracle and the model are probed along the same directions. What these get wrong about the model is known, and
    `share` of it is taken off the estimate for the oracle: this has the mean of `estimator` whenever that is unbiased
    for the model, however bad the model. The variance falls by up to the squared correlation of the two errors. Tucker
    et al., NeurIPS 2017 (REBAR), and Grathwohl et al., ICLR 2018, use a surrogate so.

    Args:
        estimator: of gradients.
        model: of the loss, for the same batch; fixed before the batch is asked about.
        slope: the exact gradient (P,) of the model's mean loss at parameters (P,).
        share: of the model; fixed before the batch is asked about, too.
    """

    estimator: GradientEstimator
    model: BatchLosses
    slope: Callable[[Tensor], Tensor]
    share: float

    def estimate(
        self, objective: BatchLosses, at: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> Controlled:
        """See `GradientEstimator.estimate`; only the objective is asked for what costs a query."""
        start = generator.get_state()
        oracle = self.estimator.estimate(objective, at, probe_radius=probe_radius, generator=generator)
        generator.set_state(start)
        model = self.estimator.estimate(self.model, at, probe_radius=probe_radius, generator=generator)
        surplus = model.gradient - self.slope(at)
        estimate = GradientEstimate(oracle.gradient - self.share * surplus, oracle.loss)
        return Controlled(estimate, oracle.gradient, surplus)


@dataclass(frozen=True, slots=True)
class Coefficient:
    """Share of a model that takes most of the variance off: <plain, surplus> / |surplus|^2, over earlier batches.

    Args:
        cross: running sum of the first.
        square: of the second.
    """

    cross: float = 0.0
    square: float = 0.0

    @property
    def best(self) -> float:
        """Between 0 and 1; 0 before there is anything to go by."""
        return min(1.0, max(0.0, self.cross / max(self.square, _TINY)))

    def after(self, found: Controlled, *, memory: float) -> Coefficient:
        """With one more batch, the others `memory` times as important as before."""
        cross, square = float(found.plain @ found.surplus), float(found.surplus @ found.surplus)
        return Coefficient(memory * self.cross + cross, memory * self.square + square)
