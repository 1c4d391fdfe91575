"""`bbsmooth tune --radius`: certified shares of held-out images judge, and what buys nothing is not bought."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.bbsmooth.cli.world import Outcome, World, bbsmooth


def tune(world: World, *arguments: object) -> Outcome:
    return bbsmooth(
        *("tune", "--oracle", world.oracle(), "--data", f"npz:{world.folder / 'many.npz'}", "--sigma", 0.25),
        *("--radius", 0.25, "--budget", 4000, "--pretrain-epochs", 1, "--out", world.run, *arguments),
    )


@pytest.fixture
def many(world: World) -> World:
    generator = np.random.default_rng(0)
    dark = generator.integers(0, 60, (150, 8, 8), dtype=np.uint8)
    np.savez(world.folder / "many.npz", x=np.concatenate([dark, 255 - dark]), y=np.repeat([0, 1], 150))
    return world


def found(world: World) -> dict[str, Any]:
    return dict(json.loads((world.run / "summary.json").read_text()))


def test_where_nothing_can_be_gained_the_rest_of_the_budget_stays_unspent(many: World) -> None:
    done = tune(many)
    assert done.status == 0, done.err
    summary = found(many)
    spent = many.asked.total()
    assert summary["verdict"] == f"tuning buys nothing here: {spent:,} of 4,000 queries used, start kept"
    assert summary["verdict"] in " ".join(done.out.split())
    assert (summary["best_step"], summary["gain_p_value"], summary["heldout_certified_start"]) == (0, None, 1.0)
    assert many.ledger()["spent"]["tune"] == spent < 600
    assert bbsmooth("verify", many.run).status == 0
    assert tune(many, "--resume").status == 0
    assert many.asked.total() == spent

    (many.run / "summary.json").write_text(json.dumps(summary | {"heldout_certified_best": 0.5}))
    assert "heldout_certified_best is 0.5, the history says 1.0" in bbsmooth("verify", many.run).out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--radius", "0"], "--radius must be a positive number, got 0.0"),
        (["--radius", "3"], "--radius 3 needs a probability of 1; choose a smaller one"),
        (
            ["--budget", "300"],
            "--budget: judging by a radius needs 10 held-out images under 5 draws at a first look and",
        ),
        (["--train-images", "30"], "held-out images, got 6: give more images to tune on, or leave --radius out"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_a_query(many: World, arguments: list[str], expected: str) -> None:
    done = tune(many, *arguments)
    assert done.status == 2
    assert expected in done.line
    assert many.asked.total() == 0


def test_the_certified_objective_needs_a_radius(many: World) -> None:
    done = bbsmooth(
        *("tune", "--oracle", many.oracle(), "--data", f"npz:{many.folder / 'many.npz'}", "--sigma", 0.25),
        *("--objective", "certified", "--budget", 4000, "--out", many.run),
    )
    assert (done.status, done.line) == (
        2,
        "error: --objective certified needs --radius, at which images shall be certified",
    )


@pytest.mark.parametrize("method", ["spsa-gc", "equaliser-cma", "equaliser-clipped", "pattern"])
def test_methods_take_the_certified_objective(many: World, method: str) -> None:
    done = tune(many, "--method", method, "--objective", "certified")
    assert done.status == 0, done.err
    assert bbsmooth("verify", many.run).status == 0
