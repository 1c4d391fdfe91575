"""CMA-ES: covariance matrix adaptation, for searches in a few dozen dimensions (Hansen & Ostermeier, 2001)."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bbsmooth.errors import UsageError
from bbsmooth.randomness import fork
from bbsmooth.tuning.learners.protocol import StepContext, StepResult
from bbsmooth.tuning.rules.steps import State

_LOSSES = "losses"
_LARGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CmaEs:
    """One generation a step: all candidates are asked about the same images and noise, and the mean moves to the best.

    The library `cma` does the work. It is given its draws, and between steps nothing but the losses so far is
    remembered, from which its state follows; so a run resumes exactly, and no pickle is read.

    Args:
        spread: standard deviation of the first candidates, in units of the parameters.
        population: candidates a generation, an even number: half of them mirror the others.

    Raises:
        ValueError: no spread, or fewer than 4 candidates.
    """

    spread: float = 0.3
    population: int = 12

    def __post_init__(self) -> None:
        """Refuse a search that stands still."""
        if not self.spread > 0 or self.population < 4 or self.population % 2:
            raise ValueError(f"CMA-ES needs a positive spread and an even population from 4, got {self}")

    @property
    def evaluations(self) -> int:
        """One a candidate."""
        return self.population

    def initial_memory(self, parameters: Tensor) -> State:
        """No losses yet.

        Raises:
            UsageError: more parameters than a full covariance is for, or `cma` is not installed.
        """
        if len(parameters) > _LARGEST:
            raise UsageError(f"CMA-ES is for at most {_LARGEST} parameters, there are {len(parameters)}")
        import_cma()
        return {_LOSSES: torch.zeros(0, self.population, dtype=torch.float64), "start": parameters}

    def step(self, context: StepContext) -> StepResult:
        """Ask about one generation, and tell what it lost. The mean of the next is where the parameters go."""
        start, losses = context.memory["start"], context.memory[_LOSSES]
        strategy = _strategy(self, _raw(start), _raw(losses), len(start))
        candidates = strategy.ask(self.population)
        points = torch.from_numpy(np.stack(candidates)).to(start.dtype)
        found = context.batch.losses(points)
        told = torch.cat([losses, found[None]])
        moved = _told(strategy, candidates, found)
        _remember(self, start, told, moved)
        parameters = torch.from_numpy(np.array(moved.mean)).to(start.dtype)
        notes = {"loss": float(found.mean()), "spread": float(moved.sigma)}
        return StepResult(parameters, {_LOSSES: told, "start": start}, notes)


def import_cma() -> Any:
    """The library.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module("cma")
    except ImportError:
        raise UsageError("CMA-ES needs `pip install 'bbsmooth[cma]'`") from None


def _raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


_latest: dict[tuple[CmaEs, bytes, bytes], Any] = {}
"""The strategy of the last step, so that it need not be led there again."""


def _remember(learner: CmaEs, start: Tensor, losses: Tensor, strategy: Any) -> None:
    _latest.clear()
    _latest[learner, _raw(start), _raw(losses)] = strategy


def _strategy(learner: CmaEs, start: bytes, losses: bytes, dimensions: int) -> Any:
    """The strategy from this start after these losses: that of the last step, or one that is told them all again."""
    if (latest := _latest.pop((learner, start, losses), None)) is not None:
        return latest
    strategy = _begun(learner, np.frombuffer(start, np.float32), dimensions)
    for generation in np.frombuffer(losses, np.float64).reshape(-1, learner.population):
        _told(strategy, strategy.ask(learner.population), torch.from_numpy(generation.copy()))
    return strategy


def _begun(learner: CmaEs, start: Any, dimensions: int) -> Any:
    stream = fork(0, "cma-es", dimensions, learner.population)

    def normal(*shape: int) -> Any:
        """Draws of half the candidates, and their mirror images: a common shift of losses then cancels."""
        if len(shape) == 2 and shape[0] == learner.population:
            half = torch.randn(shape[0] // 2, shape[1], generator=stream, dtype=torch.float64)
            return torch.cat([half, -half]).numpy()
        return torch.randn(*shape, generator=stream, dtype=torch.float64).numpy()

    options = {
        "popsize": learner.population,
        "randn": normal,
        "seed": math.nan,
        "verbose": -9,
        "maxfevals": math.inf,
        "CMA_diagonal": 0,
    }
    return import_cma().CMAEvolutionStrategy(start.astype(np.float64), learner.spread, options)


def _told(strategy: Any, candidates: Any, losses: Tensor) -> Any:
    strategy.tell(candidates, losses.numpy())
    return strategy
