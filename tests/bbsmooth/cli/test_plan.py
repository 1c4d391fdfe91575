"""`bbsmooth plan`: a small pilot, what it lets expect, and that a certification does not pay for it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from bbsmooth.cli.main import app
from bbsmooth.cli.plan import _withheld
from bbsmooth.runs.files import write_json
from bbsmooth.runs.hashes import run_hashes
from bbsmooth.settings.certify import CertifyConfig
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth

PILOT = 3 * 10  # queries


def plan(world: World, *arguments: object, function: str = "counted") -> Outcome:
    """Plan to certify 6 images with 50 queries each, from 3 of them; later arguments win."""
    return bbsmooth(
        *("plan", "--oracle", world.oracle(function), "--data", f"npz:{world.folder / 'images.npz'}"),
        *(
            *(() if "--sigma" in arguments else ("--sigma", "0.25")),
            "--radius",
            "0.1",
            "--n0",
            "10",
            "--n",
            "40",
            "--pilot",
            "3",
            "--pilot-draws",
            "10",
            "--batch-size",
            "16",
        ),
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
    assert [line.split()[0] for line in lines[3:]] == ["cohen", "0.2", "sequential", "sequential", "sequential", "0.2"]
    assert "300" in lines[3]
    assert lines[3].endswith(" 0.60")


def test_what_is_expected_in_json(world: World) -> None:
    found = planned(world, "--price", 2, "--radius", 0.2)
    assert (found["images"], found["confidence"]) == (6, 0.9)
    pilot = found["pilot"]
    assert (pilot["queries"], pilot["draws"], pilot["price"]) == (PILOT, 10, 0.06)
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
    second = planned(world, "--out", tmp_path / "plan", "--resume", "--radius", 0.3, "--alpha", 0.05, "--n", 40)
    assert world.asked.total() == PILOT
    assert second["pilot"]["votes"] == first["pilot"]["votes"]
    assert second["expected"][0]["queries"]["expected"] == 6 * 50


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--budget", "29"], "a budget of 29 queries cannot pay for the pilot: 3 images times --pilot-draws 10 = 30"),
        (["--pilot", "0"], "--pilot must be at least 1 image, got 0"),
        (["--images", "0"], "--limit must be at least 1 image, got 0"),
        (["--pilot-draws", "0"], "--pilot-draws must be at least 1, got 0"),
        (["--choose-cap", "1"], "--choose-cap must be a share"),
        (["--method", "sequential", "--bound", "two-class"], "--bound two-class goes with --method cohen"),
        (["--price", "10", "--max-price", "0.2"], "a budget of 20 queries cannot pay for the pilot"),
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


def test_a_part_of_the_selection_is_asked_and_the_rest_left_to_the_certification(world: World, tmp_path: Path) -> None:
    assert planned(world, "--pilot", 6, "--pilot-draws", 4, "--out", tmp_path / "plan")["pilot"]["queries"] == 24
    done = world.certify("--reuse", tmp_path / "plan")
    assert done.status == 0, done.err
    assert world.ledger()["spent"]["select"] == 6 * 6
    assert max(world.asked.values()) == 1


def test_all_that_changes_the_cost_of_a_method_is_forecast(world: World) -> None:
    sequential = planned(world, "--method", "sequential", "--canaries", 2, "--labels", "oracle", "--price", 2)
    row = sequential["expected"][-1]
    assert (row["method"], row["radii"]) == ("sequential", [0.1])
    bare = planned(world, "--method", "sequential")["expected"][-1]
    extra = 6 + 3 * 2  # labels; canaries twice at the start and once at the end
    for key, number in bare["queries"].items():
        assert row["queries"][key] == number + extra
        assert row["price"][key] == pytest.approx((number + extra) * 2 / 1000)
    (cohen,) = planned(world, "--method", "cohen", "--bound", "two-class", "--radius", 0.2)["expected"]
    assert (cohen["method"], cohen["radii"]) == ("cohen", [0.1, 0.2])
    (shared,) = planned(world, "--method", "cohen", "--family-wise", "holm")["expected"]
    assert shared["certified"][0]["expected"] <= cohen["certified"][0]["high"]


def test_smaller_caps_and_the_one_that_is_chosen(world: World) -> None:
    few = ("--method", "sequential", "--n", 400, "--alpha", 0.05)
    row = planned(world, *few)["expected"][-1]
    assert row["num_estimation"] == 400
    assert [cap["num_estimation"] for cap in row["caps"]] == [200, 80]
    saved = [cap["saved"]["expected"] for cap in row["caps"]]
    assert saved == sorted(saved)
    chosen = planned(world, *few, "--choose-cap", 0.99)["expected"][-1]
    assert chosen["num_estimation"] == 80
    assert chosen["queries"] == row["caps"][-1]["queries"]
    done = plan(world, *few, "--choose-cap", 0.99, "--out", world.folder / "planned")
    assert "certify with --n 80 --reuse" in done.out
    assert "with --n 200 it saves" in done.out


def test_plan_and_certify_have_the_same_defaults() -> None:
    """Every option that both have; only what plan compares by itself and how many images it is about differ."""
    commands = [typer.main.get_command(app).commands[name] for name in ("plan", "certify")]  # type: ignore[attr-defined]
    mine, other = ({param.name: param.default for param in command.params} for command in commands)
    differing = {name for name in mine.keys() & other.keys() if mine[name] != other[name]}
    assert differing <= {"out", "method", "seed"}  # which certify may derive from a stamp, as a text
    assert mine["beta"] == other["beta"] == CertifyConfig.__dataclass_fields__["beta"].default


def test_without_a_radius_forecasts_are_at_those_that_certify_reports(world: World) -> None:
    asked = ("--oracle", world.oracle("bright"), "--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.5)
    done = bbsmooth("plan", *asked, "--n0", 10, "--n", 40, "--pilot", 2, "--pilot-draws", 5, "--json")
    assert done.status == 0, done.err
    assert [row["method"] for row in json.loads(done.out)["expected"]] == ["cohen", "adaptive"]
    certified = world.certify("--sigma", 0.5, "--limit", 1, "--json")
    radii = [row["radius"] for row in json.loads(certified.out)["summary"]["certified_accuracy"]]
    for row in json.loads(done.out)["expected"]:
        assert row["radii"] == radii == [share["radius"] for share in row["certified"]]
    assert radii == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_equal_images_are_forecast_once(world: World) -> None:
    pixels = np.load(world.folder / "images.npz")["x"]
    np.savez(world.folder / "twice.npz", x=np.concatenate([pixels] * 5), y=np.array([0, 0, 0, 1, 1, 1] * 5))
    data = ("--data", f"npz:{world.folder / 'twice.npz'}", "--sigma", 0.25, "--radius", 0.1, "--n0", 50, "--n", 2000)
    done = bbsmooth("plan", "--oracle", world.oracle(), *data, "--out", world.run)
    assert done.status == 0, done.err
    assert "6 of the 30 images are different; equal ones are asked about once" in done.out
    summary = json.loads((world.run / "summary.json").read_text())
    (cohen, sequential) = summary["expected"]
    assert cohen["queries"]["expected"] == 6 * 2050
    certified = bbsmooth(
        *("certify", "--oracle", world.oracle(), *data, "--method", "sequential", "--batch-size", 16),
        *("--out", world.folder / "certified"),
    )
    assert certified.status == 0
    spent = json.loads((world.folder / "certified" / "ledger.json").read_text())["spent_total"]
    assert sequential["queries"]["low"] <= spent <= sequential["queries"]["high"] + 6 * 16


def test_the_ledger_of_a_pilot_is_verified(world: World) -> None:
    data = ("--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.25, "--radius", 0.1, "--pilot", 2)
    assert bbsmooth("plan", "--oracle", world.oracle(), *data, "--out", world.run).status == 0
    assert "right: the ledger adds up\n" in bbsmooth("verify", world.run).out
    ledger = world.run / "ledger.json"
    ledger.write_text(json.dumps(json.loads(ledger.read_text()) | {"spent_total": 1}))
    manifest = json.loads((world.run / "manifest.json").read_text())
    write_json(world.run / "manifest.json", manifest | {"hashes": run_hashes(world.run, manifest)})
    done = bbsmooth("verify", world.run)
    assert (done.status, "ledger.json: spent_total is 1, the purposes add up to 40" in done.out) == (1, True)


def test_noise_that_leaves_nothing_to_chance_needs_no_pilot(world: World) -> None:
    data = ("--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.25, "--radius", 0.1)
    done = bbsmooth("plan", "--oracle", world.oracle(), *data, "--noise", "splitting", "--price", 2)
    assert done.status == 2
    assert "needs no pilot" in done.line
    assert world.certify("--noise", "splitting").status == 0
    cost = world.ledger()["spent_total"]
    assert f"6 images, no two of them equal, cost {cost:,} queries, price {cost * 2 / 1000:,.2f}" in done.line


def test_what_a_false_discovery_rate_withholds_is_forecast(world: World) -> None:
    data = ("--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.25, "--radius", 0.1, "--n0", 50, "--n", 2000)
    done = bbsmooth("plan", "--oracle", world.oracle(), *data, "--false-discovery-rate", 0.001, "--out", world.run)
    assert done.status == 0, done.err
    issued = json.loads((world.run / "summary.json").read_text())["expected"][-1]["issued"]
    assert issued["needed"] == 6
    assert issued["certified"]["high"] == 6
    (line,) = [line for line in done.out.splitlines() if line.startswith("certificates are issued only where")]
    assert line.endswith("at least 6 images are certified; expected 6")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(7, 9, "expected 8 (7 to 9)"), (2, 9, ": all may be withheld"), (2, 6, ": none is likely to be issued")],
)
def test_what_is_likely_to_be_withheld_is_said(low: int, high: int, said: str) -> None:
    line = _withheld({"needed": 7, "certified": {"low": low, "expected": min(8, high), "high": high}})
    assert line.endswith(said)
