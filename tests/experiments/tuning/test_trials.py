"""Trials are made once, and go on where they were killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bbsmooth.coordinator import Coordinator, FoldedUNet, PretrainPlan
from bbsmooth.tuning.methods import METHODS
from experiments.tuning import worlds
from experiments.tuning.fine_tuning import fine_tuned, fine_tuned_oracle
from experiments.tuning.run import _row
from experiments.tuning.trials import Arm, Setting, seconds, shares
from experiments.tuning.worlds import Labelled, World
from oracles import Answers, Feedback, HalfspaceOracle, OracleSpec
from oracles.local import Normalisation
from oracles.owned import OwnedModel

BRIGHT = torch.arange(60) % 2
IMAGES = (80 + 95 * BRIGHT).view(-1, 1, 1, 1).expand(60, 1, 8, 8).to(torch.uint8)
SETTING = Setting(queries=600, seed=0, feedback=Feedback.LOGITS, part="test")


@dataclass
class Counted:
    """A plane through the middle, that counts and may fail."""

    queries: int = 0
    dies_at: int | None = None

    @property
    def spec(self) -> OracleSpec:
        return self.plane.spec

    @property
    def plane(self) -> HalfspaceOracle:
        return HalfspaceOracle(normal=torch.ones(1, 8, 8), offset=32.0)

    def query(self, images: Tensor) -> Answers:
        if self.dies_at is not None and self.queries >= self.dies_at:
            raise KeyboardInterrupt
        self.queries += len(images)
        return self.plane.query(images)


def owned() -> OwnedModel:
    """A network with batch statistics, which takes any image for a dark one before it is trained."""
    plane, dark = nn.Linear(64, 2), nn.BatchNorm1d(2)
    with torch.no_grad():
        plane.weight.uniform_(-0.125, 0.125, generator=torch.Generator().manual_seed(0))
        plane.bias.zero_()
        dark.bias.copy_(torch.tensor([1.0, 0.0]))
    module = nn.Sequential(nn.Flatten(), plane, dark)
    return OwnedModel(module, "linear", ("dark", "bright"), (1, 8, 8), Normalisation())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(worlds, "FOLDER", tmp_path)
    data = Labelled(IMAGES, BRIGHT)
    return World(
        name="planes",
        sigma=0.25,
        oracle=Counted(),
        owned=owned,
        train=data,
        validation=data[:10],
        test=data[10:],
        draws=2,
        architecture=FoldedUNet.for_images((1, 8, 8)),
        plan=PretrainPlan(epochs=2),
    )


def start(world: World) -> Coordinator:
    method = METHODS["spsa"]
    return replace(world.denoiser(method.form), space=method.space)


ARM = Arm(name="spsa", start=start, plan=replace(METHODS["spsa"].plan, batch_size=20))


def test_a_trial_is_made_once_and_kept(world: World) -> None:
    first = shares(world, ARM, SETTING)
    asked = counted(world).queries
    assert first.shape == (50,)
    assert torch.equal(shares(world, ARM, SETTING), first)
    assert counted(world).queries == asked
    shares(world, ARM, replace(SETTING, part="validation"))
    assert counted(world).queries == asked + 10  # judged on other images, not tuned again
    assert seconds(world, ARM, SETTING) > 0


def test_a_killed_trial_goes_on_and_ends_the_same(world: World, tmp_path: Path) -> None:
    expected = shares(world, ARM, SETTING)
    for path in (tmp_path / "planes-0.25" / "trials").iterdir():
        path.unlink()
    oracle = counted(world)
    oracle.queries, oracle.dies_at = 0, 300
    with pytest.raises(KeyboardInterrupt):
        shares(world, ARM, SETTING)
    oracle.dies_at = None
    assert torch.equal(shares(world, ARM, SETTING), expected)


def test_a_row_compares_with_the_control_on_the_same_draws(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    unchanged: Callable[[World, Coordinator, int], Tensor] = lambda world, start, seed: start.initial_parameters()  # noqa: E731
    control = Arm(name="denoiser", start=start, free=unchanged)
    monkeypatch.setattr("experiments.tuning.run.FREE", {"denoiser": control})
    row = _row(world, control, 0, [0, 1], Feedback.LOGITS, "test")
    assert row["gains"] == [0.0, 0.0]
    assert row["draws"] == 100
    after = shares(world, ARM, SETTING)
    tuned = _row(world, ARM, 600, [0], Feedback.LOGITS, "test")
    assert tuned["accuracy"] == pytest.approx(100 * after.mean().item(), abs=0.01)


def test_a_fine_tuned_classifier_answers_in_the_oracles_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.tuning.fine_tuning._SEEN", 6_000)
    arm = replace(ARM, plan=None, free=fine_tuned, answers=fine_tuned_oracle)
    right = shares(world, arm, replace(SETTING, queries=0))
    assert right.mean() > 0.95  # 0.5 before
    assert counted(world).queries == 0
    assert torch.equal(
        world.classifier(torch.ones(1, 1, 8, 8)).argmax(1), torch.tensor([0])
    )  # its owner has it as it was


def counted(world: World) -> Counted:
    assert isinstance(world.oracle, Counted)
    return world.oracle
