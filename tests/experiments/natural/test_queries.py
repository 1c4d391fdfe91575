"""The study of what queries buy: each run is made and each image certified once, and gains are paired."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bbsmooth.coordinator import FoldedUNet, PretrainPlan
from bbsmooth.tuning.certified_share import RadiusJudge
from experiments.natural import ceilings, queries
from experiments.natural.queries import Arm, Study, judged
from experiments.tuning import worlds
from experiments.tuning.worlds import Labelled, World
from oracles import Answers, HalfspaceOracle, OracleSpec
from oracles.owned import OwnedModel

SIDE = 16


@dataclass
class Counted:
    """A plane that leans to the dark side, which counts."""

    asked: list[int] = field(default_factory=list)

    @property
    def plane(self) -> HalfspaceOracle:
        return HalfspaceOracle(normal=torch.ones(1, SIDE, SIDE), offset=0.6 * SIDE * SIDE)

    @property
    def spec(self) -> OracleSpec:
        return self.plane.spec

    def query(self, images: Tensor) -> Answers:
        self.asked.append(len(images))
        return self.plane.query(images)


def images(count: int) -> Labelled:
    bright = torch.arange(count) % 2
    level = (100 + 50 * bright).view(-1, 1, 1, 1)
    texture = torch.randint(-20, 21, (count, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(count))
    return Labelled((level + texture).to(torch.uint8), bright)


def owned() -> OwnedModel:
    raise NotImplementedError("no reference is needed")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(worlds, "FOLDER", tmp_path)
    monkeypatch.setattr(queries, "RESULTS", tmp_path / "queries.json")
    world = World(
        name="plane",
        sigma=0.25,
        oracle=Counted(),
        owned=owned,
        train=images(400),
        validation=images(4),
        test=images(8),
        draws=1,
        architecture=FoldedUNet(image_shape=(1, SIDE, SIDE), unshuffle=2, widths=(8,)),
        plan=PretrainPlan(epochs=1),
    )
    return Study(world, "natural-small", radius=0.1, images=8, most=200)


@pytest.mark.parametrize("answers", ["scores", "labels"])
def test_a_study_that_goes_on_asks_nothing_again(study: Study, answers: str) -> None:
    arm = Arm("auto", answers, "cross-entropy", 3_000)
    judged(study, arm, [0])
    written = queries.RESULTS.read_text()
    rows = json.loads(written)["plane 0.25 at 0.1, natural-small"]
    run, mean = rows[f"{arm}, seed 0"], rows[f"{arm}, all seeds"]
    assert run["method"] == {"scores": "matrix-scaling", "labels": "equaliser"}[answers]
    assert run["queries_used"] <= 3_000
    assert run["gain"] == mean["gain"] == pytest.approx(mean["certified"] - mean["certified_start"])
    assert run["kept"] or run["gain"] == 0

    oracle = study.world.oracle
    assert isinstance(oracle, Counted)
    oracle.asked.clear()
    judged(Study(study.world, study.front, study.radius, study.images, study.most), arm, [0])
    assert oracle.asked == []
    assert queries.RESULTS.read_text() == written


def test_a_ceiling_counts_images_above_what_the_radius_needs() -> None:
    judge = RadiusJudge(radius=0.25, needed=0.84)
    before = torch.tensor([0.8, 0.8, 0.9, 0.0])
    after = torch.tensor([0.85, 0.9, 0.8, 0.8])  # two rise above 0.84, one falls below it
    found = ceilings.judged(after, before, judge)
    assert (found["above_start"], found["above"]) == (25.0, 50.0)
    gains = torch.tensor([100.0, 100.0, -100.0, 0.0])
    assert found["above_gain"] == pytest.approx([25.0, float(gains.std()) / 2], abs=0.01)
    assert found["noisy_gain"][0] == pytest.approx(21.25)
