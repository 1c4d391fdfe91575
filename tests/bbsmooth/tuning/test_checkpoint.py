import dataclasses

import pytest
import torch
from safetensors.torch import save

from bbsmooth.tuning.checkpoint import TuneState
from bbsmooth.tuning.heldout import Score

STATE = TuneState(
    step=4,
    queries=900,
    evaluations=2,
    parameters=torch.tensor([1.0, 2.0]),
    average=torch.tensor([1.5, 2.5]),
    memory={"mean": torch.tensor([0.1, 0.2]), "count": torch.tensor(4)},
    best=torch.tensor([3.0, 4.0]),
    best_step=2,
    best_score=Score(torch.tensor([1.0, 0.0]), torch.tensor([0.9, 0.3])),
    start=Score(torch.tensor([0.0, 0.0]), torch.tensor([0.4, 0.2])),
)


def tensors_of(state: TuneState) -> list[torch.Tensor]:
    scores = [score for score in (state.best_score, state.start) if score is not None]
    memory = [state.memory[name] for name in sorted(state.memory)]
    return [
        state.parameters,
        state.average,
        state.best,
        *memory,
        *(s.correct for s in scores),
        *(s.probability for s in scores),
    ]


@pytest.mark.parametrize("state", [STATE, dataclasses.replace(STATE, best_score=None, start=None, memory={})])
def test_a_state_comes_back_as_it_was(state: TuneState) -> None:
    again = TuneState.from_bytes(state.to_bytes(identity="me"), identity="me")
    assert (again.step, again.queries, again.evaluations, again.best_step) == (4, 900, 2, 2)
    pairs = list(zip(tensors_of(again), tensors_of(state), strict=True))
    assert all(torch.equal(one, other) and one.dtype == other.dtype for one, other in pairs)


@pytest.mark.parametrize(
    "raw",
    [b"", b"not safetensors at all", save({"x": torch.zeros(1)}), STATE.to_bytes(identity="you")],
    ids=["empty", "text", "foreign", "other run"],
)
def test_anything_else_is_refused_in_one_line(raw: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be resumed from") as refused:
        TuneState.from_bytes(raw, identity="me")
    assert "\n" not in str(refused.value)
