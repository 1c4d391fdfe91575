from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from bbsmooth.randomness import fork
from bbsmooth.tuning import Staged, StepContext, StepResult

NOTHING: Any = None


@dataclass
class Counting:
    """Adds one to the parameters; writes down which steps it was told, and remembers how many there were."""

    evaluations: int = 2
    told: list[int] = field(default_factory=list)

    def initial_memory(self, parameters: Tensor) -> dict[str, Tensor]:
        return {"count": torch.zeros(())}

    def step(self, context: StepContext) -> StepResult:
        assert int(context.memory["count"]) == context.step - 1
        self.told.append(context.step)
        return StepResult(context.parameters + 1, {"count": context.memory["count"] + 1}, {})


def test_the_second_goes_on_where_the_first_stopped_and_counts_from_one() -> None:
    first, second = Counting(), Counting()
    staged = Staged(first=first, second=second, steps=3)
    parameters = torch.zeros(2)
    memory = staged.initial_memory(parameters)
    for step in range(1, 8):
        context = StepContext(
            batch=NOTHING, parameters=parameters, memory=memory, step=step, data=NOTHING, generator=fork(0)
        )
        parameters, memory, _ = staged.step(context)
    assert (first.told, second.told) == ([1, 2, 3], [1, 2, 3, 4])
    assert parameters.tolist() == [7, 7]
    assert staged.evaluations == 2


@pytest.mark.parametrize(("evaluations", "steps"), [(1, 3), (2, 0)])
def test_stages_that_do_not_fit_are_refused(evaluations: int, steps: int) -> None:
    with pytest.raises(ValueError, match="like evaluations"):
        Staged(first=Counting(), second=Counting(evaluations), steps=steps)
