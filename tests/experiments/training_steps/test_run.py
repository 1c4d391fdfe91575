"""The two loops of the benchmark do the same work: the same weights are trained, by as much."""

from __future__ import annotations

import pytest
import torch

from experiments.training_steps import run
from experiments.training_steps.run import COMPARED, bare_run, compared, digits, our_run


@pytest.mark.parametrize("method", COMPARED)
def test_both_loops_fit_the_digits(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[torch.nn.Module] = []
    original = run.adapted

    def kept(name: str, device: torch.device, model: str) -> object:
        classifier, module = original(name, device, model)
        made.append(module)
        return classifier, module

    monkeypatch.setattr(run, "adapted", kept)
    monkeypatch.setattr(run, "BATCH", 8)
    images = digits(16)
    took = [make(method, images)() for make in (our_run, bare_run)]
    start = original(method)[1]
    ours, bare = (dict(module.named_parameters()) for module in made)
    trained = [name for name, weight in start.named_parameters() if weight.requires_grad]

    assert min(took) > 0
    for moved in (ours, bare):
        assert {name for name, weight in start.named_parameters() if not torch.equal(weight, moved[name])} == {*trained}


def test_what_does_not_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(module: object) -> object:
        raise RuntimeError("no compiler\nanywhere")

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(run, "BATCH", 4)
    found = compared("lora", steps=1, pairs=1)

    assert found["compiled_to_eager"] == {"does_not_run": "no compiler"}
    assert found["ours_to_bare"]["ratio_median"] > 0
