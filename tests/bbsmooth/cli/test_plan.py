"""`bbsmooth plan`: a small pilot, what it lets expect, and that a certification does not pay for it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bbsmooth.cli.world import Outcome, World, bbsmooth

PILOT = 3 * 10  # queries


def plan(world: World, *arguments: object, function: str = "counted") -> Outcome:
    """Plan to certify 6 images with 50 queries each, from 3 of them; later arguments win."""
    return bbsmooth(
        *("plan", "--oracle", world.oracle(function), "--data", f"npz:{world.folder / 'images.npz'}"),
        *("--sigma", "0.25", "--radius", "0.1", "--n0", "10", "--n", "40", "--pilot", "3", "--batch-size", "16"),
        *arguments,
    )


def planned(world: World, *arguments: object, **named: Any) -> dict[str, Any]:
    done = plan(world, "--json", *arguments, **named)
    assert done.status == 0, done.err
    return dict(json.loads(done.out))


def test_only_the_pilot_is_paid_for_and_its_cost_is_said_before(world: World) -> None:
    done = plan(world, "--price", 2, "--radius", 0.2)
    assert done.status == 0
    assert done.line == "the pilot asks 30 queries, which cost 0.06: 3 images, 10 draws each"
    assert world.asked.total() == PILOT
    lines = done.out.splitlines()
    assert lines[0].startswith("pilot: 30 queries in ")
    assert lines[1] == "6 images, alpha 0.001; expected (and where it lies with 90%):"
    assert [line.split()[0] for line in lines[3:]] == ["cohen", "sequential", "sequential", "sequential"]
    assert "300" in lines[3]
    assert lines[3].endswith(" 0.60")


def test_what_is_expected_in_json(world: World) -> None:
    found = planned(world, "--price", 2, "--radius", 0.2)
    assert (found["images"], found["confidence"]) == (6, 0.9)
    pilot = found["pilot"]
    assert (pilot["queries"], pilot["num_selection"], pilot["price"]) == (PILOT, 10, 0.06)
    assert len(pilot["images"]) == len(pilot["votes"]) == 3
    assert [(row["method"], row["radii"]) for row in found["expected"]] == [
        ("cohen", [0.1, 0.2]),
        ("sequential", [0.1]),
        ("sequential", [0.2]),
        ("sequential", [0.1, 0.2]),
    ]
    cohen, *sequential = found["expected"]
    assert cohen["queries"] == {"expected": 300, "low": 300, "high": 300}
    for row in sequential:
        assert 60 <= row["queries"]["low"] <= row["queries"]["expected"] <= row["queries"]["high"] <= 300
    for row in found["expected"]:
        assert row["price"]["expected"] == pytest.approx(row["queries"]["expected"] * 2 / 1000)
        assert row["seconds"]["expected"] == pytest.approx(row["queries"]["expected"] * pilot["seconds"] / PILOT)
        assert all(0 <= share["low"] <= share["expected"] <= share["high"] <= 1 for share in row["certified"])
    assert planned(world)["expected"][0]["price"] is None


@pytest.mark.parametrize("arguments", [[], ["--method", "sequential", "--radius", "0.1"], ["--n", "30"]])
def test_a_certification_pays_for_everything_but_the_pilot(world: World, arguments: list[str], tmp_path: Path) -> None:
    fresh = world.folder / "fresh"
    assert world.certify(*arguments, out=fresh, function="bright").status == 0
    whole = json.loads((fresh / "ledger.json").read_text())["spent"]
    assert planned(world, "--out", tmp_path / "plan")["pilot"]["queries"] == PILOT
    assert world.asked.total() == PILOT
    done = world.certify("--reuse", tmp_path / "plan", *arguments)
    assert done.status == 0, done.err
    spent = world.ledger()["spent"]
    assert spent["select"] == whole["select"] - PILOT == 6 * 10 - PILOT
    assert spent["estimate"] == whole["estimate"]
    assert world.asked.total() == whole["select"] + whole["estimate"]
    assert max(world.asked.values()) == 1
    assert world.certificates() == world.certificates(fresh)


def test_other_draws_are_not_reused(world: World, tmp_path: Path) -> None:
    planned(world, "--out", tmp_path / "plan")
    done = world.certify("--reuse", tmp_path / "plan", "--seed", 1)
    assert done.status == 2
    assert "--seed" in done.line


def test_a_pilot_goes_on_where_it_ended(world: World, tmp_path: Path) -> None:
    (world.folder / "broken").touch()
    run = tmp_path / "plan"
    done = plan(world, "--pilot", 6, "--out", run, function="fragile")
    assert done.status == 4
    assert "--resume" in done.err
    asked = world.asked.total()
    assert 0 < asked < 60
    (world.folder / "broken").unlink()
    assert planned(world, "--pilot", 6, "--out", run, "--resume", function="fragile")["pilot"]["queries"] >= 60
    assert world.asked.total() == 60
    assert max(world.asked.values()) == 1


def test_another_question_about_the_same_pilot_costs_nothing(world: World, tmp_path: Path) -> None:
    first = planned(world, "--out", tmp_path / "plan")
    second = planned(world, "--out", tmp_path / "plan", "--resume", "--radius", 0.3, "--alpha", 0.05, "--n", 20)
    assert world.asked.total() == PILOT
    assert second["pilot"]["votes"] == first["pilot"]["votes"]
    assert second["expected"][0]["queries"]["expected"] == 6 * 30


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--budget", "29"], "a budget of 29 queries cannot pay for the pilot: 3 images times --n0 10 = 30"),
        (["--pilot", "0"], "--pilot must be at least 1 image, got 0"),
        (["--images", "0"], "--images must be at least 1, got 0"),
        (["--radius", "-1"], "--radius must not be negative"),
        (["--alpha", "0"], "--alpha"),
        (["--n", "0"], "must be at least 1"),
        (["--sigma", "0"], "--sigma must be a positive number"),
        (["--price", "-1"], "--price must be a number of at least 0"),
    ],
)
def test_what_cannot_be_planned_costs_nothing(world: World, arguments: list[str], expected: str) -> None:
    done = plan(world, *arguments)
    assert done.status == 2
    assert expected in done.line
    assert world.asked.total() == 0
