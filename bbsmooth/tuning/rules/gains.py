"""Gain sequences: how long a step is, and how far a probe reaches, at each step."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Gains:
    """a_k = a / (k + o)^alpha and c_k = c / k^gamma for steps k = 1, 2, ... (Spall, IEEE TAES 1998, section III).

    Args:
        learning_rate: a, length of a step.
        probe_radius: c, reach of a probe, in units of the parameters.
        learning_decay: alpha; 0 for no decay.
        probe_decay: gamma; 0 for no decay.
        stability: o, delays the decay of steps.

    Raises:
        ValueError: a or c is not positive, or another number is negative.
    """

    learning_rate: float
    probe_radius: float
    learning_decay: float
    probe_decay: float
    stability: float

    def __post_init__(self) -> None:
        """Refuse gains that would not move, or would grow."""
        numbers = astuple(self)
        if not all(math.isfinite(number) and number >= 0 for number in numbers) or min(numbers[:2]) == 0:
            raise ValueError(
                f"learning rate and probe radius must be positive, decays and stability not negative: {self}"
            )

    def learning_rate_at(self, step: int) -> float:
        """a_k for step `step`, counted from 1."""
        return self.learning_rate / math.pow(step + self.stability, self.learning_decay)

    def probe_radius_at(self, step: int) -> float:
        """c_k for step `step`, counted from 1."""
        return self.probe_radius / math.pow(step, self.probe_decay)
