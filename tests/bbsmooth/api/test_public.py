"""The public names, and the notebook of a researcher, from data to verified run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import bbsmooth as bb
from bbsmooth.cli.main import app

NAMES = [
    "Abstention",
    "Acceptance",
    "Adaptive",
    "Attacks",
    "Batch",
    "Budget",
    "BudgetExhausted",
    "Certificate",
    "Certificates",
    "Cohen",
    "Comparison",
    "DataError",
    "Denoiser",
    "Forecast",
    "Gaussian",
    "Laplace",
    "Oracle",
    "OracleChanged",
    "OracleError",
    "OracleUnavailable",
    "Predictions",
    "Sequential",
    "ShapeError",
    "SpecError",
    "Splitting",
    "Trained",
    "Tuned",
    "Uniform",
    "UsageError",
    "Verification",
    "accept",
    "attack",
    "attest",
    "bundle",
    "certify",
    "compare",
    "denoiser",
    "images",
    "load",
    "oracle",
    "plan",
    "predict",
    "pretrain",
    "report",
    "serve",
    "train",
    "tune",
    "verify",
]


def test_the_public_names_are_sorted_and_all_there() -> None:
    assert bb.__all__ == NAMES == sorted(NAMES)
    assert all(getattr(bb, name).__doc__ for name in NAMES)
    assert set(NAMES) <= set(dir(bb))


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, bbsmooth; print({'torch', 'numpy', 'rich'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


class World:
    """Digits, a vendor, and what the notebook makes of them."""

    def __init__(self, folder: Path) -> None:
        digits = load_digits()
        images = np.rint(digits.images * 255 / 16).astype(np.uint8)[:, None]
        self.train, self.test = images[:300], images[1500:1510]
        self.labels, self.folder, self.noise = digits.target, folder, bb.Gaussian(sigma=0.5)
        centres = np.stack([images[digits.target == number].mean(0) / 255 for number in range(10)])

        def ask_vendor(batch: np.ndarray[Any, Any]) -> Any:
            near = -((batch[:, None] - centres[None]) ** 2).sum((2, 3, 4))
            scores = np.exp(near - near.max(1, keepdims=True))
            return scores / scores.sum(1, keepdims=True)

        self.oracle = bb.oracle(ask_vendor, image_shape=(1, 8, 8), classes=10, price_per_1000=1.5)
        self.denoiser = bb.pretrain(self.train, noise=self.noise, seed=0, epochs=2)
        self.tuned = bb.tune(
            self.oracle,
            self.train,
            self.labels[:300],
            noise=self.noise,
            start=self.denoiser,
            budget=bb.Budget(queries=1_500),
            seed=0,
            run=folder / "tuned",
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


PLAN = bb.Sequential(radii=(0.25, 0.5), alpha=0.01, beta=0.01, num_selection=20, max_estimation=300)


def test_the_notebook_runs_and_its_runs_verify(world: World) -> None:
    tuned = world.tuned
    assert tuned.accuracy is not None
    assert tuned.accuracy_before is not None
    assert tuned.accuracy >= tuned.accuracy_before > 0.3
    assert tuned.ledger.total <= 1_500
    found = bb.certify(
        world.oracle,
        world.test,
        world.labels[1500:1510],
        noise=world.noise,
        plan=PLAN,
        front=tuned,
        budget=bb.Budget(queries=60_000),
        seed=0,
        run=world.folder / "certified",
    )
    assert found.complete
    assert 0 <= found.certified_accuracy(0.5).value <= found.certified_accuracy(0.25).value
    with pytest.raises(bb.UsageError, match="radii"):
        found.certified_accuracy(0.4)
    assert found.ledger.price == pytest.approx(found.ledger.total * 1.5 / 1000)
    assert found.report(world.folder / "report.html").read_text().startswith("<!doctype html>")
    assert bb.verify(found).unchecked == ()
    for run in ("tuned", "certified"):
        assert bb.verify(world.folder / run).verified
        assert CliRunner().invoke(app, ["verify", str(world.folder / run)]).exit_code == 0
        assert bb.load(world.folder / run)._repr_html_()


def test_a_denoiser_in_memory_is_kept_in_the_run(world: World) -> None:
    found = bb.certify(
        world.oracle, world.test[:2], noise=world.noise, plan=PLAN, front=world.denoiser, seed=0, run=world.folder / "d"
    )
    named = bb.certify(
        world.oracle,
        world.test[:2],
        noise=world.noise,
        plan=PLAN,
        front=world.denoiser.save(world.folder / "saved"),
        seed=0,
        run=world.folder / "named",
    )
    assert found == named
    assert Path(found.settings["coordinator"]).is_relative_to(found.run)
    assert bb.verify(found).verified
    moved = shutil.copytree(found.run, world.folder / "elsewhere")
    rows = bb.compare(found, named, moved).rows()
    assert [row["coordinator_queries"] for row in rows] == [0, 0, 0]
    page = bb.report(moved, world.folder / "moved.html").read_text()
    assert "behind a denoiser that was made without a query" in page
    with pytest.raises(bb.UsageError, match="sigma"):
        bb.predict(
            world.oracle, world.test, noise=bb.Gaussian(1.0), num_draws=9, alpha=0.1, seed=0, front=world.denoiser
        )


def test_a_plan_tells_the_cost_and_its_answers_are_taken_over(world: World) -> None:
    forecast = bb.plan(
        world.oracle,
        world.test,
        noise=world.noise,
        radii=(0.25, 0.5),
        num_selection=20,
        max_estimation=300,
        alpha=0.01,
        beta=0.01,
        pilot=5,
        seed=0,
        front=world.tuned,
        run=world.folder / "plan",
    )
    assert {row["method"] for row in forecast.rows()} == {"cohen", "sequential"}
    assert all(row["price_expected"] > 0 for row in forecast.rows())
    found = bb.certify(
        world.oracle,
        world.test,
        noise=world.noise,
        plan=PLAN,
        front=world.tuned,
        seed=0,
        run=world.folder / "reusing",
        reuse=world.folder / "plan",
    )
    assert found.ledger.queries["select"] == 20 * 5  # those of the pilot are not paid for again
    assert isinstance(bb.load(world.folder / "plan"), bb.Forecast)


def test_predictions_and_attacks_have_their_runs(world: World) -> None:
    call: dict[str, Any] = {"noise": world.noise, "num_draws": 200, "alpha": 0.001, "seed": 0, "front": world.tuned}
    found = bb.predict(world.oracle, world.test, run=world.folder / "predicted", **call)
    right = [each.label == label for each, label in zip(found, world.labels[1500:1510], strict=True)]
    assert sum(right) >= 5
    again = bb.load(world.folder / "predicted")
    assert isinstance(again, bb.Predictions)
    assert again.rows() == found.rows()
    assert bb.verify(world.folder / "predicted").verified
    certified = bb.certify(
        world.oracle,
        world.test[:2],
        noise=world.noise,
        plan=bb.Cohen(num_selection=20, num_estimation=100, alpha=0.01),
        seed=0,
        run=world.folder / "attacked",
    )
    attack: dict[str, Any] = {"method": "nes", "radii": (0.5,), "steps": 2, "num_search": 10, "num_judge": 50}
    attack |= {"alpha": 0.01, "draws": 4, "seed": 0, "run": world.folder / "attack"}
    attacked = bb.attack(certified, oracle=world.oracle, **attack)
    assert attacked.contradictions == []
    assert bb.verify(attacked).verified
    with pytest.raises(bb.UsageError, match="`oracle`"):
        bb.attack(certified, **attack)
    with pytest.raises(bb.UsageError, match="`images`"):
        bb.attack(certified, oracle=world.oracle, images=world.test[2:4], **attack)


def test_runs_are_compared(world: World) -> None:
    runs = []
    for seed in (0, 1):
        plan = bb.Cohen(num_selection=10, num_estimation=50, alpha=0.01)
        labels = world.labels[1500:1510]
        run = world.folder / f"seed-{seed}"
        runs.append(bb.certify(world.oracle, world.test, labels, noise=world.noise, plan=plan, seed=seed, run=run))
    compared = bb.compare(*runs)
    assert len(compared.rows()) == 2
    assert "seed-0" in str(compared)
    assert repr(compared) == "Comparison(2 runs)"
    assert compared.report(world.folder / "comparison.md").read_text().startswith("#")
    assert "<table>" in compared._repr_html_()
