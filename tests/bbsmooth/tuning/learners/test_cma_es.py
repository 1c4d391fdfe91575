"""CMA-ES: it finds the minimum of a badly scaled bowl, and goes on after a crash as if there had been none."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from bbsmooth.errors import UsageError
from bbsmooth.tuning.learners import cma_es
from bbsmooth.tuning.learners.cma_es import CmaEs

MINIMUM = torch.tensor([1.0, -2.0, 0.5, 3.0])
SCALES = torch.tensor([1.0, 10.0, 100.0, 1000.0], dtype=torch.float64)


def context(parameters: Tensor, memory: Any) -> Any:
    """A step's context whose losses are those of a bowl a thousand times steeper on one side than on another."""
    bowl = SimpleNamespace(losses=lambda points: ((points.double() - MINIMUM.double()).square() * SCALES).sum(1))
    return SimpleNamespace(parameters=parameters, memory=memory, batch=bowl)


def run(learner: CmaEs, steps: int, *, forget: bool = False) -> Tensor:
    parameters = torch.zeros(4)
    memory = learner.initial_memory(parameters)
    for _ in range(steps):
        if forget:
            cma_es._latest.clear()  # as in a process that has just begun
        result = learner.step(context(parameters, memory))
        parameters, memory = result.parameters, result.memory
    return parameters


def test_it_finds_the_minimum_of_a_bowl_of_condition_a_thousand() -> None:
    torch.testing.assert_close(run(CmaEs(spread=0.5, population=10), 150), MINIMUM, atol=1e-3, rtol=0)


def test_a_process_that_remembers_losses_alone_goes_on_alike() -> None:
    learner = CmaEs(population=6)
    assert torch.equal(run(learner, 12), run(learner, 12, forget=True))


def test_half_of_the_candidates_mirror_the_others() -> None:
    seen: list[Tensor] = []
    learner = CmaEs(population=6)
    start = torch.full((4,), 2.0)
    given = context(start, learner.initial_memory(start))

    def losses(points: Tensor) -> Tensor:
        seen.append(points)
        return points.double().sum(1)

    given.batch = SimpleNamespace(losses=losses)
    learner.step(given)
    torch.testing.assert_close(seen[0][:3] - 2, 2 - seen[0][3:])


def test_what_it_is_not_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="at most 500 parameters"):
        CmaEs().initial_memory(torch.zeros(501))
    with pytest.raises(ValueError, match="even population"):
        CmaEs(population=5)
    monkeypatch.setitem(sys.modules, "cma", None)
    with pytest.raises(UsageError, match=r"pip install 'bbsmooth\[cma\]'"):
        CmaEs().initial_memory(torch.zeros(4))
