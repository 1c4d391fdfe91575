"""Gradients of a bounded length, then another rule."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from bbsmooth.tuning.rules.steps import State, StepRule, Update


@dataclass(frozen=True, slots=True)
class Clipped:
    """The gradient, no longer than sqrt(P) for P parameters, as another rule takes it.

    Park et al. (ZIP), ICLR 2025, section 4.3: a zeroth-order gradient's length grows as the root of the dimension, so
    that root is a threshold without a setting.

    Args:
        rule: that gets it.
    """

    rule: StepRule

    def initial_state(self, parameters: Tensor) -> State:
        """That of the rule."""
        return self.rule.initial_state(parameters)

    def update(self, state: State, gradient: Tensor) -> Update:
        """Clip, and let the rule go on."""
        longest = math.sqrt(len(gradient))
        return self.rule.update(state, gradient * min(1.0, longest / max(float(gradient.norm()), longest)))
