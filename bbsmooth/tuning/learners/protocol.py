"""Protocol of one paid step: some answers in, new parameters out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from bbsmooth.tuning.noisy import NoisyImages
from bbsmooth.tuning.objective import BatchObjective
from bbsmooth.tuning.rules.steps import State


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StepContext:
    """State of a learner before a step.

    Attributes:
        batch: the step's images.
        parameters: (P,) to move from.
        memory: what the step before left.
        step: its number, from 1.
        data: the images that steps are computed from, for what costs no query.
        generator: of all that is drawn in this step.
    """

    batch: BatchObjective
    parameters: Tensor
    memory: State
    step: int
    data: NoisyImages
    generator: torch.Generator


class StepResult(NamedTuple):
    """Result of a step: parameters (P,), what to remember, and numbers for the history."""

    parameters: Tensor
    memory: State
    notes: Mapping[str, float]


class Learner(Protocol):
    """A way to spend queries on better parameters."""

    @property
    def evaluations(self) -> int:
        """Queries for each image of a step's batch."""
        ...

    def initial_memory(self, parameters: Tensor) -> State:
        """Memory before the first step, for parameters (P,)."""
        ...

    def step(self, context: StepContext) -> StepResult:
        """Ask about the batch, `evaluations` times each image, and move."""
        ...
