"""`bbsmooth tune --method matrix-scaling`: a classifier that leans to one class is read anew, for few queries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bbsmooth.assemble import describe_coordinator
from bbsmooth.coordinator import ScoreScaled, load
from bbsmooth.tuning.methods import judged_twice
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, build, killed

LEANING = """

def leaning(images):
    \"\"\"Dark, where it is not very bright indeed.\"\"\"
    p = 1 / (1 + np.exp(-20 * (images.mean((1, 2, 3)) - 0.8)))
    counted(images)
    return np.stack([1 - p, p], 1)


def sure(images):
    \"\"\"Right about all of them, which no map can better.\"\"\"
    p = np.where(images.mean((1, 2, 3)) > 0.35, 0.999, 0.001)
    counted(images)
    return np.stack([1 - p, p], 1)
"""
OPTIONS = "num_classes=2&feedback=probabilities"


@pytest.fixture
def leaning(tmp_path: Path) -> World:
    world = build(tmp_path)
    with (tmp_path / "oracle.py").open("a") as file:
        file.write(LEANING)
    keep_images(world, 30)
    return world


def keep_images(world: World, of_each: int) -> None:
    generator = np.random.default_rng(0)
    dark, bright = (generator.integers(*range, (of_each, 8, 8), dtype=np.uint8) for range in ((0, 60), (120, 200)))
    np.savez(world.folder / "images.npz", x=np.concatenate([dark, bright]), y=np.repeat([0, 1], of_each))


def tune(world: World, *arguments: object, function: str = "leaning", options: str = OPTIONS) -> Outcome:
    return bbsmooth(
        *("tune", "--oracle", world.oracle(function, options), "--data", f"npz:{world.folder / 'images.npz'}"),
        *("--sigma", 0.25, *(() if "--start" in arguments else ("--pretrain-epochs", 1)), "--budget", 400),
        *("--method", "vector-scaling", "--out", world.run, *arguments),
    )


def certified(world: World, *front: object) -> float:
    out = world.folder / f"certified{len(front)}"
    done = bbsmooth(
        *("certify", "--oracle", world.oracle("leaning", OPTIONS), "--data", f"npz:{world.folder / 'images.npz'}"),
        *("--sigma", 0.25, "--n0", 10, "--n", 40, "--radius", 0.1, "--out", out, *front),
    )
    assert done.status == 0
    (found,) = json.loads((out / "summary.json").read_text())["certified_accuracy"]
    return float(found["value"])


@pytest.mark.parametrize("method", ["matrix-scaling", "vector-scaling"])
def test_a_lean_is_found_and_certificates_follow(leaning: World, method: str) -> None:
    done = tune(leaning, "--method", method, "--json")
    assert done.status == 0
    found = json.loads(done.out)["summary"]
    assert found["heldout_accuracy_start"] < 0.6
    assert found["heldout_accuracy_best"] > 0.9
    assert leaning.asked.total() == found["queries"] <= 400
    before, spent = describe_coordinator(leaning.run), leaning.asked.total()
    killed(leaning.run)
    assert tune(leaning, "--method", method, "--resume").status == 0
    assert describe_coordinator(leaning.run) == before
    assert leaning.asked.total() == spent
    assert certified(leaning) == 0.5
    assert certified(leaning, "--coordinator", leaning.run) > 0.9


def test_what_is_shown_and_how_it_is_read_are_tuned_together(leaning: World) -> None:
    keep_images(leaning, 300)
    asked = ("--method", "equaliser-vector", "--radius", 0.1, "--budget", 6_000)
    done = tune(leaning, *asked, "--json")
    assert done.status == 0
    found = json.loads(done.out)["summary"]
    assert found["heldout_certified_best"] > found["heldout_certified_start"] + 0.3
    assert found["gain_p_value"] < 1e-6
    before, spent = describe_coordinator(leaning.run), leaning.asked.total()
    coordinator, parameters = load(leaning.run / "coordinator.safetensors")
    assert isinstance(coordinator, ScoreScaled)
    assert (coordinator.joint, len(parameters)) == (False, 4)
    killed(leaning.run)
    assert tune(leaning, *asked, "--resume").status == 0
    assert (describe_coordinator(leaning.run), leaning.asked.total()) == (before, spent)
    assert bbsmooth("verify", leaning.run).status == 0
    assert certified(leaning, "--coordinator", leaning.run, "--limit", 100) > 0.9


def test_where_a_radius_decides_most_of_a_budget_judges_the_map(leaning: World) -> None:
    keep_images(leaning, 300)
    done = tune(leaning, "--method", "matrix-scaling", "--radius", 0.1, "--budget", 4_000, "--json")
    assert done.status == 0
    found = json.loads(done.out)["summary"]
    assert found["heldout_certified_best"] > found["heldout_certified_start"] + 0.3
    assert found["gain_p_value"] < 1e-6
    assert found["heldout_images"] > 2 * 0.12 * 4_000 / 20  # twice as many as judge where a budget is for steps
    assert leaning.asked.total() <= 4_000
    assert certified(leaning, "--coordinator", leaning.run, "--limit", 100) > 0.9


@pytest.mark.parametrize(("budget", "least"), [(20_000, 1_400), (100_000, 6_500)])
def test_where_no_map_helps_a_radius_takes_a_good_look_for_less_than_a_tenth(
    leaning: World, budget: int, least: int
) -> None:
    """Of 100,000 queries 32,000 would be worth spending; the look may take of all of them."""
    keep_images(leaning, 1_000)
    method = ("--method", "vector-scaling", "--radius", 0.1, "--budget", budget)
    found = json.loads(tune(leaning, *method, "--json", function="sure").out)["summary"]
    assert found["verdict"].endswith(f"of {budget:,} queries used, start kept")
    assert least < found["queries"] == leaning.asked.total() < 0.1 * budget


@pytest.mark.parametrize(
    ("arguments", "function", "options", "words"),
    [
        ((), "named", "num_classes=2&feedback=labels", "it answers with labels alone; use --method equaliser"),
        (
            (),
            "leaning",
            "feedback=probabilities",
            "say which there are, as in ?num_classes=10 or ?classes=A,B of module:",
        ),
        (("--objective", "margin"), "leaning", OPTIONS, "fits by maximum likelihood; leave --objective out"),
        (("--budget", 20), "leaning", OPTIONS, "raise it"),
    ],
)
def test_what_cannot_work_is_refused_before_a_query(
    leaning: World, arguments: tuple[object, ...], function: str, options: str, words: str
) -> None:
    done = tune(leaning, *arguments, function=function, options=options)
    assert done.status == 2
    assert words in done.line
    assert leaning.asked.total() == 0
    assert not leaning.run.exists()


def judged(run: Path) -> list[dict[str, float]]:
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [event for event in history if "heldout_accuracy" in event]


@pytest.mark.parametrize(("function", "gains"), [("leaning", True), ("sure", False)])
def test_the_same_answers_judge_the_map_and_its_start(leaning: World, function: str, gains: bool) -> None:
    """A third of 400 queries are 133 draws, which are asked about once; 5 steps of 48 images fit beside them."""
    found = json.loads(tune(leaning, "--json", function=function).out)["summary"]
    (event,) = judged(leaning.run)
    assert (found["heldout_draws"], found["steps"], found["queries"]) == (133, 5, 373)
    assert leaning.asked.total() == 373
    assert max(leaning.asked.values()) == 1
    assert found["heldout_accuracy_start"] == event["heldout_accuracy_start"]
    assert (found["best_step"] == 5, found["heldout_accuracy_best"] > found["heldout_accuracy_start"]) == (gains, gains)
    assert bbsmooth("verify", leaning.run).status == 0
    killed(leaning.run)
    assert tune(leaning, "--resume", function=function).status == 0
    assert leaning.asked.total() == 373


def test_a_radius_judges_both_by_the_same_answers(leaning: World) -> None:
    generator = np.random.default_rng(0)
    dark, bright = (generator.integers(*range, (120, 8, 8), dtype=np.uint8) for range in ((0, 60), (120, 200)))
    np.savez(leaning.folder / "images.npz", x=np.concatenate([dark, bright]), y=np.repeat([0, 1], 120))
    radius = ("--radius", 0.1, "--budget", 3000)
    found = json.loads(tune(leaning, *radius, "--json").out)["summary"]
    look, test = judged(leaning.run)
    assert look["heldout_certified_start"] < look["heldout_certified"]
    assert found["heldout_certified_start"] == test["heldout_certified_start"] < test["heldout_certified"]
    assert found["heldout_accuracy_start"] == look["heldout_accuracy_start"]
    assert leaning.asked.total() == found["queries"] <= 3000
    assert max(leaning.asked.values()) == 1
    assert bbsmooth("verify", leaning.run).status == 0
    killed(leaning.run)
    assert tune(leaning, *radius, "--resume").status == 0
    assert leaning.asked.total() == found["queries"]


def test_a_run_that_asked_about_its_start_apart_goes_on_so(leaning: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr("bbsmooth.api.sessions.tuning_question.as_begun", lambda method, out: judged_twice(method))
        assert tune(leaning).status == 0
    assert len(judged(leaning.run)) == 2
    asked, found = leaning.asked.total(), describe_coordinator(leaning.run)
    assert bbsmooth("verify", leaning.run).status == 0
    for gone in ((), ("checkpoint.safetensors",)):
        killed(leaning.run)
        for name in gone:
            (leaning.run / name).unlink()
        done = tune(leaning, "--resume")
        assert (done.status, leaning.asked.total()) == (0, asked), done.err
        assert describe_coordinator(leaning.run) == found
    killed(leaning.run)
    assert tune(leaning, "--resume", "--budget", 500).status == 2


def test_a_map_of_scores_is_learnt_anew_from_its_start_and_never_dropped(leaning: World) -> None:
    assert tune(leaning).status == 0
    out = leaning.folder / "next"
    assert tune(leaning, "--start", leaning.run, "--method", "matrix-scaling", "--out", out).status == 0
    refused = tune(leaning, "--start", leaning.run, "--method", "pattern", "--out", leaning.folder / "last")
    assert refused.status == 2
    assert "scales the oracle's scores" in refused.line
    labels = bbsmooth(
        *("certify", "--oracle", leaning.oracle("named", "num_classes=2&feedback=labels")),
        *("--data", f"npz:{leaning.folder / 'images.npz'}", "--sigma", 0.25, "--coordinator", leaning.run),
        *("--n0", 10, "--n", 40, "--out", leaning.folder / "labels"),
    )
    assert labels.status == 2
    assert "it answers with labels alone" in labels.line
