"""One way of learning after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from bbsmooth.tuning.learners.protocol import Learner, StepContext, StepResult
from bbsmooth.tuning.rules.steps import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """The first for some steps, then the second, which counts its own steps from 1 and remembers nothing of the first.

    Args:
        first: for steps 1 to `steps`.
        second: from there on; as many evaluations as the first.
        steps: of the first, at least 1.

    Raises:
        ValueError: no step of the first, or evaluations that differ.
    """

    first: Learner
    second: Learner
    steps: int

    def __post_init__(self) -> None:
        """Refuse stages that do not fit."""
        if self.steps < 1 or self.first.evaluations != self.second.evaluations:
            raise ValueError(f"stages need a step each and like evaluations, got {self}")

    @property
    def evaluations(self) -> int:
        """Those of either."""
        return self.first.evaluations

    def initial_memory(self, parameters: Tensor) -> State:
        """That of the first."""
        return self.first.initial_memory(parameters)

    def step(self, context: StepContext) -> StepResult:
        """Take a step of the first learner; after its `steps`, one of the second, which begins with a new memory."""
        if context.step <= self.steps:
            return self.first.step(context)
        own = context.step - self.steps
        memory = self.second.initial_memory(context.parameters) if own == 1 else context.memory
        return self.second.step(replace(context, step=own, memory=memory))
