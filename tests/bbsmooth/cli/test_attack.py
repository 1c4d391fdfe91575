"""`bbsmooth attack`: what is found beside what is proven, and the alarm where the two contradict each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bbsmooth.runs.lines import write_lines
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, build, killed


def attack(run: Path, out: Path, *arguments: object) -> Outcome:
    return bbsmooth(
        *("attack", run, "--out", out, "--progress", "none", "--search", 20, "--judge", 200, "--steps", 3),
        *("--draws", 10, *arguments),
    )


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "attacks.jsonl").read_text().splitlines()]


def test_a_query_attack_turns_images_outside_their_radius(world: World) -> None:
    assert world.certify("--n", 200).status == 0
    out = world.folder / "attack"
    done = attack(world.run, out, "--method", "hopskipjump", "--radius", 0.25, "--radius", 5)
    assert (done.status, done.err) == (0, "")
    summary = json.loads((out / "summary.json").read_text())
    near, far = summary["accuracy"]
    assert (near["certified"]["value"], near["empirical"]["value"]) == (1, 1)
    assert (far["certified"]["value"], far["empirical"]["value"]) == (0, 0)
    assert summary["contradictions"] == []
    for line in lines(out):
        assert line["found"] > line["radius"]
        turned = np.load(out / "examples" / f"{line['index']}.npz")["x"][0, ..., 0]
        original = np.load(world.folder / "images.npz")["x"][line["index"]]
        assert np.linalg.norm((turned - original.astype(float)) / 255) == pytest.approx(line["found"])
    ledger = json.loads((out / "ledger.json").read_text())
    assert ledger["spent"]["attack"] == ledger["spent_total"] > 0
    assert bbsmooth("report", out, "--format", "text").out.count("%") >= 4


def test_a_contradiction_is_an_alarm(world: World) -> None:
    world.certify("--n", 200)
    file = world.run / "certificates.jsonl"
    forged = [{**json.loads(line), "radius": 9.0} for line in file.read_text().splitlines()]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in forged))
    done = attack(world.run, world.folder / "attack", "--method", "hopskipjump", "--radius", 5, "--limit", 1)

    assert done.status == 1
    assert done.line.startswith("ALARM: images [0] are turned inside their certified radius")


def test_a_run_that_its_budget_stopped_goes_on_and_pays_nothing_twice(world: World) -> None:
    world.certify("--n", 200, "--budget", 5_000, "--price", 1, "--max-price", 5, "--max-attempts", 6_000)
    whole, out = world.folder / "whole", world.folder / "attack"
    words = ("--method", "hopskipjump", "--radius", 5, "--limit", 2)
    attack(world.run, whole, *words)
    ledger = json.loads((whole / "ledger.json").read_text())
    spent = ledger["spent_total"]
    assert ledger["budget"] == {"queries": None, "attempts": None, "money": None}  # those of `certify` were its own
    stopped = attack(world.run, out, *words, "--budget", spent - 50)
    assert stopped.status == 3
    assert "--resume" in stopped.line
    assert attack(world.run, out, *words, "--budget", spent, "--resume").status == 0
    assert lines(out) == lines(whole)
    assert json.loads((out / "ledger.json").read_text())["spent_total"] == spent


def test_a_gradient_attack_needs_the_weights(world: World) -> None:
    world.certify()

    assert "use --method nes or hopskipjump" in attack(world.run, world.folder / "attack").line


def test_no_gradient_attack_contradicts_a_certificate(tmp_path: Path) -> None:
    subject = ("--oracle", "local-vit", "--data", "mnist5k", "--sigma", 0.25, "--limit", 6)
    bbsmooth("certify", *subject, "--n0", 20, "--n", 300, "--out", tmp_path / "run")
    done = attack(tmp_path / "run", tmp_path / "attack", "--radius", 0.25, "--radius", 2)
    assert done.status == 0
    found = lines(tmp_path / "attack")
    assert any(line["found"] is not None for line in found)
    for row in json.loads((tmp_path / "attack" / "summary.json").read_text())["accuracy"]:
        assert row["certified"]["value"] <= row["empirical"]["value"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--method", "magic"], "--method must be one of gradient, nes, hopskipjump"),
        (["--radius", 0], "--radius must be above 0, got 0.0"),
        (["--radius", "nan"], "--radius must be above 0, got nan"),
        (["--alpha", 0], "--alpha must lie between 0 and 1, got 0.0"),
        (["--limit", -1], "--limit must be at least 1 image, got -1"),
        (["--search", 0], "--search must be at least 1, got 0"),
        (["--steps", 0], "--steps must be at least 1"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(arguments: list[object], expected: str, world: World) -> None:
    done = attack(world.run, world.folder / "attack", *arguments)

    assert done.status == 2
    assert expected in done.line


def test_only_l2_certificates_are_attacked(world: World) -> None:
    world.certify("--noise", "uniform")

    assert "L2" in attack(world.run, world.folder / "attack", "--method", "hopskipjump").line


CHANGES: dict[str, dict[str, Any]] = {
    "nearer": {"found": 0.01},
    "not found": {"found": None, "turned_into": None},
    "another label": {"label": 1},
    "another image": {"index": 5},
    "a larger radius": {"radius": 9.0},
    "another class": {"turned_into": 0},
    "surer": {"p_value": 0.0},
}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two images of a certified run, attacked and turned."""
    world = build(tmp_path_factory.mktemp("attacked"))
    world.certify("--n", 200)
    attack(world.run, world.folder / "attack", *("--method", "hopskipjump", "--radius", 5, "--limit", 2))
    return world


def copied(attacked: World, folder: Path) -> Path:
    """A copy of its attack, as a killed process leaves it."""
    out = Path(shutil.copytree(attacked.folder / "attack", folder / "attack"))
    killed(out)
    return out


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_line_of_a_killed_attack_ends_before_any_query(
    attacked: World, tmp_path: Path, change: dict[str, Any]
) -> None:
    out, asked = copied(attacked, tmp_path), attacked.asked.total()
    (first, second), words = lines(out), ("--method", "hopskipjump", "--radius", 5, "--limit", 3, "--resume")
    write_lines(out / "attacks.jsonl", [first | change, second])
    refused = attack(attacked.run, out, *words)
    assert refused.status == 2
    assert "attacks.jsonl: image" in refused.line
    assert attacked.asked.total() == asked
    write_lines(out / "attacks.jsonl", [second])
    if change == CHANGES["nearer"]:  # one of them goes on
        assert attack(attacked.run, out, *words, "--limit", 2).status == 0
        assert sorted(lines(out), key=lambda line: int(line["index"])) == [first, second]
        assert attacked.asked.total() == asked


@pytest.mark.parametrize("damage", [None, b"", b"PK\3\4 torn"], ids=["gone", "empty", "torn"])
def test_a_lost_example_of_a_killed_attack_is_one_line(attacked: World, tmp_path: Path, damage: bytes | None) -> None:
    out = copied(attacked, tmp_path)
    example = out / "examples" / "0.npz"
    example.unlink() if damage is None else example.write_bytes(damage)
    words = ("--method", "hopskipjump", "--radius", 5, "--limit", 2, "--resume")
    assert "image 0 is not as certificates, examples" in attack(attacked.run, out, *words).line


def test_certificates_that_a_run_does_not_issue_are_not_claimed(world: World) -> None:
    bound = ("--false-discovery-rate", 0.001, "--alpha", 0.001)  # all six images would have to be certified
    assert world.certify("--n", 200, *bound).status == 0
    file = world.run / "certificates.jsonl"
    claimed = [json.loads(line) for line in file.read_text().splitlines()]
    assert all(line["radius"] for line in claimed)
    issued = attack(world.run, world.folder / "issued", "--method", "hopskipjump", "--radius", 0.1, "--limit", 1)
    assert (issued.status, issued.err) == (0, "")
    summary = json.loads((world.run / "summary.json").read_text())
    summary["false_discovery"]["issued"] = False
    (world.run / "summary.json").write_text(json.dumps(summary))
    out = world.folder / "withheld"
    done = attack(world.run, out, "--method", "hopskipjump", "--radius", 0.1, "--limit", 1)
    assert done.status == 0
    assert "issues no certificates" in done.line
    assert [line["radius"] for line in lines(out)] == [None]
    (row,) = json.loads((out / "summary.json").read_text())["accuracy"]
    assert (row["certified"]["value"], row["empirical"]["value"]) == (0, 1)
