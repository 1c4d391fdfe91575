"""`bbsmooth verify`: exit status 0 for an honest run, 1 with a line for each finding."""

from __future__ import annotations

import json

import pytest

from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.hashes import run_hashes
from tests.bbsmooth.cli.world import World, bbsmooth, picture
from tests.bbsmooth.reporting.worlds import change

WAYS = (
    "",
    "--method sequential --radius 0.1 --radius 0.2",
    "--method sequential",
    "--bound two-class",
    "--bound randomised",
    "--family-wise bonferroni",
    "--family-wise holm",
    "--false-discovery-rate 0.5",
    "--false-discovery-rate 0.001",
    "--labels oracle",
    "--noise laplace",
    "--noise uniform",
    "--noise splitting",
)


@pytest.mark.parametrize("ways", WAYS)
def test_an_honest_run_is_verified_without_a_query(world: World, ways: str) -> None:
    assert world.certify(*ways.split()).status == 0
    asked = world.asked.total()
    done = bbsmooth("verify", world.run)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("right: every file is as it was when the run ended\n")
    assert "right: each certificate is what images, seed and recorded answers give\n" in done.out
    assert "not checked" not in done.out
    assert world.asked.total() == asked


def test_a_sequential_certificate_must_follow_from_its_counts(world: World) -> None:
    world.certify("--method", "sequential", "--radius", "0.1", "--radius", "0.2")
    path = world.run / "certificates.jsonl"
    lines = path.read_text().splitlines()
    record = json.loads(lines[0])
    assert record["radius"]
    tampered: list[dict[str, object]] = [
        {"radius": record["radius"] * 1.5},
        {"p_lower": 0.999},
        {"decisions": []},
        {"beta": 0.5},
    ]
    for changes in tampered:
        path.write_text("\n".join([json.dumps(record | changes), *lines[1:]]) + "\n")
        done = bbsmooth("verify", world.run)
        assert done.status == 1
        assert "certificates.jsonl, image 0" in done.out


def test_what_is_wrong_is_told_line_by_line(world: World) -> None:
    world.certify()
    path = world.run / "certificates.jsonl"
    path.write_text(path.read_text().replace('"p_lower": 0.', '"p_lower": 0.9'))
    done = bbsmooth("verify", world.run)
    assert done.status == 1
    lines = done.out.splitlines()
    assert all(line.startswith("WRONG: ") for line in lines)
    assert any("certificates.jsonl is not as it was" in line for line in lines)
    assert sum("votes give" in line for line in lines) == 6
    found = json.loads(bbsmooth("verify", world.run, "--json").out)
    assert found["verified"] is False
    assert [f"WRONG: {line}" for line in found["findings"]] == lines


def test_runs_of_other_commands_are_verified_too(world: World) -> None:
    file = picture(world.folder / "a.png")
    bbsmooth("predict", "--oracle", world.oracle(), "--sigma", "0.25", "--n", "20", "--out", world.run, file)
    assert bbsmooth("verify", world.run).status == 0
    path = world.run / "predictions.json"
    path.write_text(path.read_text().replace('"abstained": false', '"abstained": true'))
    assert "abstained is True, the votes give False" in bbsmooth("verify", world.run).out


def test_a_prediction_that_the_oracle_refused_or_did_not_make_is_no_mistake(world: World) -> None:
    """`PredictCase` leaves no votes where a draw is refused, and abstains from a class that stands for no answer."""
    file = picture(world.folder / "a.png")
    bbsmooth("predict", "--oracle", world.oracle(), "--sigma", "0.25", "--n", "20", "--out", world.run, file)
    (entry,) = json.loads((world.run / "predictions.json").read_text())
    nothing = {"predicted": None, "name": None, "abstained": True}
    for changes, right in (
        (nothing | {"reason": "refused", "p_value": 1.0, "counts": {}}, True),
        (nothing | {"reason": "no answer"}, True),
        (nothing | {"reason": "refused"}, False),
        (nothing | {"reason": "unproven"}, False),
        ({"reason": "unproven"}, False),
    ):
        (world.run / "predictions.json").write_text(json.dumps([entry | changes]))
        change(world.run / "manifest.json", hashes=run_hashes(world.run, read_manifest(world.run)))
        assert (bbsmooth("verify", world.run).status == 0) is right, changes


def test_a_run_that_its_budget_stopped_is_verified(world: World) -> None:
    assert world.certify("--budget", "120").status == 3
    assert bbsmooth("verify", world.run).status == 0
    world.resumed("--budget", "1000")
    assert bbsmooth("verify", world.run).status == 0


def test_what_is_no_run_is_wrong_input(world: World) -> None:
    done = bbsmooth("verify", world.folder)
    assert done.status == 2
    assert "is not a run directory" in done.line
