from __future__ import annotations

from pathlib import Path

import pytest

from bbsmooth.api.certify import certify
from bbsmooth.certification import Certificate
from oracles import BudgetExhausted
from tests.builders import SHAPE, WatchedOracle, halfspace, pictures

SETTINGS = {"sigma": 0.5, "num_selection": 10, "num_estimation": 200, "alpha": 0.01, "seed": 3}


def test_a_call_gives_a_verdict_for_each_image(tmp_path: Path) -> None:
    images = list(pictures(4, seed=1))
    found = certify(halfspace(), images, folder=tmp_path, **SETTINGS)  # type: ignore[arg-type]
    assert len(found) == 4
    for image, verdict in zip(images, found, strict=True):
        assert image.shape == SHAPE
        if isinstance(verdict, Certificate):
            assert verdict.radius > 0


def test_a_second_call_pays_nothing_and_a_stopped_one_goes_on(tmp_path: Path) -> None:
    images = list(pictures(3, seed=1))
    oracle = WatchedOracle(halfspace())
    with pytest.raises(BudgetExhausted):
        certify(oracle, images, folder=tmp_path, budget=500, **SETTINGS)  # type: ignore[arg-type]
    assert oracle.answered.total() == 420
    first = certify(oracle, images, folder=tmp_path, budget=630, **SETTINGS)  # type: ignore[arg-type]
    assert oracle.answered.total() == 630
    again = certify(oracle, images, folder=tmp_path, budget=630, batch_size=7, **SETTINGS)  # type: ignore[arg-type]
    assert oracle.answered.total() == 630
    assert again == first
    assert max(oracle.answered.values()) == 1


def test_settings_that_cannot_work_cost_nothing(tmp_path: Path) -> None:
    oracle = WatchedOracle(halfspace())
    for changes in ({"sigma": 0.0}, {"sigma": 100.0}, {"alpha": 1.0}, {"num_estimation": 0}):
        with pytest.raises(ValueError, match="must"):
            certify(oracle, list(pictures(1, seed=1)), folder=tmp_path, **SETTINGS | changes)
    assert oracle.answered.total() == 0
