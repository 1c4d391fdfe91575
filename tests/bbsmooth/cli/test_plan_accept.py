"""`bbsmooth plan --at-least`: what is forecast for `bbsmooth accept`, and that `accept` then costs and answers so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bbsmooth as bb
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, build

IMAGES, PILOT, DRAWS = 120, 40, 10


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A half-space, and images on both sides of it; every tenth lies near it."""
    made = build(tmp_path)
    generator = np.random.default_rng(0)
    labels = np.arange(IMAGES) % 2
    pixels = np.where(labels, 215, 30)[:, None, None] + generator.integers(-25, 26, (IMAGES, 8, 8))
    pixels[::10] = generator.integers(105, 150, (IMAGES // 10, 8, 8))
    np.savez(tmp_path / "images.npz", x=pixels.astype(np.uint8), y=labels)
    return made


def asked(world: World, command: str, *arguments: object, images: str = "images") -> Outcome:
    given = ["--oracle", world.oracle("bright"), "--data", f"npz:{world.folder / f'{images}.npz'}", "--sigma", "0.25"]
    return bbsmooth(command, *given, "--radius", "0.1", "--seed", "1", "--progress", "none", *arguments)


def plan(world: World, *arguments: object, images: str = "images") -> Outcome:
    given = ["--n0", "20", "--n", "40", "--pilot", PILOT, "--pilot-draws", DRAWS, "--method", "cohen"]
    return asked(world, "plan", *given, *arguments, images=images)


def test_accept_spends_and_answers_as_forecast(world: World) -> None:
    run = world.folder / "planned"
    done = plan(world, "--at-least", "0.7", "--price", "2", "--json", "--out", run)
    assert done.status == 0, done.err
    found = json.loads(done.out)["acceptance"]
    done = asked(world, "accept", "--at-least", "0.7", "--out", world.run)
    assert done.status == 0, done.err
    spent = json.loads((world.run / "ledger.json").read_text())["spent_total"]
    assert found["queries"]["low"] <= spent <= found["queries"]["high"]
    assert found["answer"]["shown"] > 0.8
    summary = json.loads((world.run / "summary.json").read_text())
    assert found["images"]["low"] <= summary["claims"][0]["images"] <= found["images"]["high"]
    assert found["price"]["expected"] == pytest.approx(found["queries"]["expected"] * 2 / 1000)
    settings = json.loads((world.run / "manifest.json").read_text())["settings"]
    for name in ("at_least", "alpha_total", "beta", "population", "num_estimation", "image_alpha", "image_beta"):
        assert found[name] == settings[name]


def test_a_plan_on_disk_forecasts_another_claim_at_no_charge(world: World) -> None:
    run = world.folder / "planned"
    done = plan(world, "--json", "--out", run)
    assert done.status == 0, done.err
    assert "acceptance" not in json.loads(done.out)
    lines = plan(world, "--at-least", "0.9", "--radius", "0.2", "--out", run, "--resume").out.splitlines()
    assert json.loads((run / "ledger.json").read_text())["spent_total"] == PILOT * DRAWS
    row = next(line for line in lines if line.startswith("accept "))
    assert row.split()[1:4] == ["0.1", "1,000", "-"]
    claim = "accept asks whether at least 0.9 of the images are right and robust (alpha 0.05, beta 0.05)"
    assert sum(line.startswith(claim) for line in lines) == 1
    assert [line.split(" % ")[0].split()[:3] for line in lines if line.startswith("at radius")] == [
        ["at", "radius", "0.1"],
        ["at", "radius", "0.2"],
    ]
    assert plan(world, "--json", "--out", run, "--resume").status == 0


def test_votes_count_for_the_label_and_not_for_the_leading_class(world: World) -> None:
    held = np.load(world.folder / "images.npz")
    np.savez(world.folder / "wrong.npz", x=held["x"], y=1 - held["y"])
    found = json.loads(plan(world, "--at-least", "0.7", "--json", images="wrong").out)
    assert found["acceptance"]["answer"]["refuted"] > 0.9
    assert found["expected"][0]["certified"][0]["expected"] > 0.7


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--at-least", "1.5"], "--at-least must lie between 0 and 1, got 1.5"),
        (["--at-least", "0.7", "--beta-total", "0"], "--beta-total must lie between 0 and 1, got 0.0"),
        (["--at-least", "0.7", "--image-draws", "0"], "--image-draws must be at least 1, got 0"),
        (["--at-least", "0.7", "--image-draws", "1"], "1 draws cannot certify radius 0.1"),
        (["--at-least", "0.99", "--max-images", "5"], "5 images could not show a share of 0.99"),
    ],
)
def test_what_is_no_claim_costs_nothing(world: World, arguments: list[str], says: str) -> None:
    done = plan(world, *arguments)
    assert done.status == 2
    assert says in done.line


def test_the_forecast_is_the_same_from_python(world: World) -> None:
    there = json.loads(plan(world, "--at-least", "0.7", "--json").out)["acceptance"]
    held = np.load(world.folder / "images.npz")
    pilot: dict[str, Any] = {"num_selection": 20, "max_estimation": 40, "alpha": 0.001, "beta": 0.01}
    pilot |= {"noise": bb.Gaussian(0.25), "radii": (0.1,), "pilot": PILOT, "pilot_draws": DRAWS, "seed": 1}
    claim: dict[str, Any] = {"at_least": 0.7, "alpha_total": 0.05, "beta_total": 0.05, "population": "data"}
    images = held["x"][:, None] if held["x"].ndim == 3 else held["x"]
    found = bb.plan(
        world.oracle("bright"), images, held["y"], **pilot, **claim, image_draws=1000, max_images=1000
    ).acceptance
    assert found is not None
    assert found["queries"] == there["queries"]
    assert found["claims"] == there["claims"]
    with pytest.raises(bb.UsageError, match="needs `image_draws`, `max_images` too"):
        bb.plan(world.oracle("bright"), images, held["y"], **pilot, **claim)


def test_a_budget_of_accept_ends_its_forecast(world: World) -> None:
    run = world.folder / "planned"
    free = json.loads(plan(world, "--at-least", "0.7", "--json", "--out", run).out)["acceptance"]
    spent = json.loads((run / "ledger.json").read_text())["spent_total"]
    less = round(free["queries"]["low"] / 2)
    ways = ("--at-least", "0.7", "--out", run, "--resume")
    found = json.loads(plan(world, *ways, "--accept-budget", less, "--json").out)["acceptance"]
    assert found["queries"]["high"] <= found["budget"] == less
    assert found["answer"]["not shown"] > 0.9 > free["answer"]["not shown"]
    ample = json.loads(plan(world, *ways, "--accept-budget", 10**9, "--json").out)["acceptance"]
    assert {key: ample[key] for key in ("queries", "answer")} == {key: free[key] for key in ("queries", "answer")}
    assert f"and ends at {less:,} queries" in plan(world, *ways, "--accept-budget", less).out
    assert json.loads((run / "ledger.json").read_text())["spent_total"] == spent
    assert asked(world, "accept", "--at-least", "0.7", "--budget", less, "--out", world.run).status == 5
    refused = plan(world, "--accept-budget", less)
    assert refused.status == 2
    assert "--accept-budget counts only with --at-least" in refused.line


def test_claims_about_groups_are_forecast_as_accept_runs_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By class, and by a column in which one group lies near the plane."""
    monkeypatch.setattr("bbsmooth.certification.acceptance.forecast.REPLICATES", 60)
    near = ["near" if index % 10 == 0 else "far" for index in range(IMAGES)]
    (world.folder / "sites.csv").write_text("\n".join(["site", *near]) + "\n")
    run, column = world.folder / "planned", f"{world.folder / 'sites.csv'}:site"
    done = plan(world, "--at-least", "0.6", "--groups", "class", "--radius", "0.05", "--json", "--out", run)
    assert done.status == 0, done.err
    by_class = json.loads(done.out)["acceptance"]
    assert len(by_class["claims"]) == 4
    assert by_class["max_images"] == IMAGES
    ways = ("--at-least", "0.6", "--groups", column, "--out", run, "--resume")
    found = json.loads(plan(world, *ways, "--json").out)["acceptance"]
    assert [claim["group"] for claim in found["claims"]] == ["far", "near"]
    far, close = found["claims"]
    assert far["answer"]["shown"] > 0.8 > close["answer"]["shown"]
    assert far["good"]["low"] > close["good"]["expected"]
    assert json.loads((run / "ledger.json").read_text())["spent_total"] == PILOT * DRAWS
    asked(world, "accept", "--at-least", "0.6", "--groups", column, "--out", world.run)
    spent = json.loads((world.run / "ledger.json").read_text())["spent_total"]
    assert found["queries"]["low"] <= spent <= found["queries"]["high"]
    done = plan(world, *ways)
    assert "\nat radius 0.1 in group near " in done.out, done.err
    held = np.load(world.folder / "images.npz")
    pilot: dict[str, Any] = {"num_selection": 20, "max_estimation": 40, "alpha": 0.001, "beta": 0.01}
    pilot |= {"noise": bb.Gaussian(0.25), "radii": (0.1,), "pilot": PILOT, "pilot_draws": DRAWS, "seed": 1}
    claim: dict[str, Any] = {"at_least": 0.6, "alpha_total": 0.05, "beta_total": 0.05, "population": "data"}
    claim |= {"image_draws": 1000, "max_images": 1000}
    images = held["x"][:, None] if held["x"].ndim == 3 else held["x"]
    there = bb.plan(world.oracle("bright"), images, held["y"], **pilot, **claim, groups=near).acceptance
    assert there is not None
    assert there["claims"] == found["claims"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--groups", "class"], "--groups counts only with --at-least"),
        (["--at-least", "0.6", "--groups", "sites.csv"], "sites.csv"),
        (["--at-least", "0.6", "--groups", "{folder}/sites.csv:hospital"], "hospital"),
        (["--at-least", "0.6", "--groups", "{folder}/sites.csv:site"], f"a group for each of {IMAGES} images, got 2"),
    ],
)
def test_groups_that_there_are_not_cost_nothing(world: World, arguments: list[str], says: str) -> None:
    (world.folder / "sites.csv").write_text("site\na\nb\n")
    done = plan(world, *(each.format(folder=world.folder) for each in arguments), "--out", world.run)
    assert done.status == 2
    assert says in done.line
    assert not (world.run / "ledger.json").exists()
