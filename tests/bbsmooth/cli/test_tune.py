"""`bbsmooth tune`: what it leaves, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.api.sessions.tuning_resume import planned
from bbsmooth.assemble import describe_coordinator
from bbsmooth.runs.directory import Status
from bbsmooth.runs.files import write_json
from bbsmooth.runs.lines import write_lines
from bbsmooth.settings.common import OracleConfig
from bbsmooth.tuning.automatic import Choice
from bbsmooth.tuning.checkpoint import TuneState
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, build, killed, picture


def tune(world: World, *arguments: object) -> Outcome:
    sigma = () if "--sigma" in arguments else ("--sigma", 0.25)
    return bbsmooth(
        *("tune", "--oracle", world.oracle(), "--data", f"npz:{world.folder / 'images.npz'}", *sigma),
        *("--budget", 0, *(() if "--start" in arguments else ("--pretrain-epochs", 1)), "--out", world.run, *arguments),
    )


def test_pre_training_alone_costs_nothing(world: World) -> None:
    done = tune(world)
    assert done.status == 0
    assert "denoising pre-training only, 1 epoch: no query" in done.out
    assert (world.run / "coordinator.safetensors").is_file()
    assert world.asked.total() == 0
    assert bbsmooth("report", world.run, "--format", "text").out == done.out


def test_tuning_stays_within_its_budget_and_resumes_for_free(world: World) -> None:
    done = tune(world, "--budget", 300, "--json")
    found = json.loads(done.out)
    assert done.status == 0
    assert found["summary"]["steps"] >= 1
    assert world.asked.total() == found["ledger"]["spent"]["tune"] <= 300
    before = describe_coordinator(world.run)
    spent = world.asked.total()
    assert tune(world, "--budget", 300, "--resume").status == 0
    assert describe_coordinator(world.run) == before
    assert world.asked.total() == spent


def test_a_run_of_before_sizes_goes_on_with_the_network_of_its_version(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed, and what it had pre-trained is gone; today such images would get the natural denoiser."""
    monkeypatch.setattr("bbsmooth.coordinator.making._NATURAL_SIDE", 8)
    assert tune(world, "--front-size", "folded", "--budget", 300).status == 0
    before = describe_coordinator(world.run)
    manifest = json.loads((world.run / "manifest.json").read_text())
    del manifest["settings"]["front_size"], manifest["commitment"]
    (world.run / "manifest.json").write_text(json.dumps(manifest | {"hashes": None, "status": "running"}))
    for name in ("pretrained.safetensors", "pretraining.json", "commitment.json", "coordinator.safetensors"):
        (world.run / name).unlink()
    for _ in range(2):
        done = tune(world, "--budget", 300, "--resume")
        assert done.status == 0, done.err
    assert describe_coordinator(world.run) == before
    refused = tune(world, "--budget", 300, "--resume", "--front-size", "base")
    assert (refused.status, "front-size" in refused.line) == (2, True)


def test_a_coordinator_can_be_where_the_next_one_starts(world: World) -> None:
    tune(world)
    out = world.folder / "next"
    assert tune(world, "--start", world.run, "--out", out).status == 0
    wrong = tune(world, "--start", world.run, "--out", world.folder / "last", "--sigma", 0.5)
    assert "was made for sigma 0.25, not 0.5" in wrong.line
    wrong = tune(
        world, "--start", world.run, "--out", world.folder / "last", "--data", "mnist5k", "--oracle", "local-vit"
    )
    assert "is a coordinator for images (1, 8, 8), the oracle takes (1, 28, 28)" in wrong.line
    assert not (world.folder / "last").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--method", "magic"], "--method must be one of "),
        (["--objective", "magic"], "--objective must be one of "),
        (["--shots", "0"], "--shots must be at least 1, got 0"),
        (["--shots", "100000"], "--shots 100000 needs as many images of each class, one has "),
        (["--pretrain-epochs", "0"], "--pretrain-epochs and --train-images must be at least 1"),
        (["--train-images", "1"], "tuning needs at least 2 images, got 1"),
        (["--budget", "5"], "--budget: tuning needs at least"),
        (["--budget", "-1"], "--budget must be a number of at least 0, got -1"),
        (["--sigma", "0"], "--sigma must be a positive number, got 0.0"),
        (["--sigma", "10000"], "--sigma must be below"),
        (["--data", "digits", "--budget", "300"], "the data's 10 classes do not match the oracle's 2"),
        (["--start", "nowhere"], "nowhere holds no coordinator.safetensors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused_in_one_line(world: World, arguments: list[str], expected: str) -> None:
    done = tune(world, *arguments)
    assert done.status == 2
    assert expected in done.line
    assert world.asked.total() == 0
    assert not world.run.exists()


def test_images_without_labels_are_refused(world: World) -> None:
    picture(world.folder / "photos" / "a.png")
    done = tune(world, "--data", f"folder:{world.folder / 'photos'}", "--budget", 300)
    assert done.status == 2
    assert "has no labels, and tuning needs them" in done.line
    done = tune(world, "--data", f"folder:{world.folder / 'photos'}", "--shots", 1)
    assert (done.status, "has no labels, and --shots counts images of each class" in done.line) == (2, True)
    assert not world.run.exists()


@pytest.mark.parametrize("objective", [(), ("--objective", "agreement")])
def test_pre_training_needs_no_labels(world: World, objective: tuple[str, ...]) -> None:
    """None, and neither those of other classes than the oracle's."""
    for number in range(3):
        picture(world.folder / "photos" / f"{number}.png")
        picture(world.folder / "others" / f"kind{number}" / "a.png")
    for name in ("photos", "others"):
        done = tune(
            world, "--data", f"folder:{world.folder / name}", "--out", world.folder / f"tuned {name}", *objective
        )
        assert done.status == 0, done.err
        assert (world.folder / f"tuned {name}" / "coordinator.safetensors").is_file()
    assert world.asked.total() == 0


def test_images_without_labels_do_where_the_oracle_is_believed(world: World) -> None:
    for number in range(40):
        picture(world.folder / "photos" / f"{number}.png")
    unlabelled = ("--data", f"folder:{world.folder / 'photos'}", "--objective", "agreement", "--train-images", 40)
    done = tune(world, *unlabelled, "--budget", 400, "--json")
    assert done.status == 0
    found = json.loads(done.out)
    assert world.asked.total() == found["ledger"]["spent"]["tune"] <= 400
    assert found["summary"]["queries"] == world.asked.total() - 40
    spent = world.asked.total()
    assert tune(world, *unlabelled, "--budget", 400, "--resume").status == 0
    assert world.asked.total() == spent


@pytest.mark.parametrize(
    ("feedback", "method", "reason"),
    [("labels", "spsa-gc", "images below 16 pixels"), ("probabilities", "matrix-scaling", "weigh classes")],
)
def test_by_default_a_method_is_picked_and_the_reason_is_on_record(
    world: World, feedback: str, method: str, reason: str
) -> None:
    function = "named" if feedback == "labels" else "counted"
    done = tune(world, "--budget", 300, "--oracle", world.oracle(function, f"num_classes=2&feedback={feedback}"))
    assert done.status == 0
    assert f"method {method}, because" in done.err
    manifest = json.loads((world.run / "manifest.json").read_text())
    assert manifest["method_used"] == method
    assert reason in manifest["method_because"]


def test_a_run_goes_on_with_the_method_that_was_picked_when_it_began(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(
            "bbsmooth.api.sessions.tuning_method.choose", lambda **about: Choice("spsa-gc", "images are small")
        )
        assert tune(world, "--budget", 300).status == 0
    spent = world.asked.total()
    killed(world.run)
    assert tune(world, "--budget", 300, "--resume").status == 0
    assert json.loads((world.run / "manifest.json").read_text())["method_used"] == "spsa-gc"
    assert world.asked.total() == spent


@pytest.mark.parametrize("method", ["auto", "equaliser"])
def test_a_few_images_of_each_class_are_enough(world: World, method: str) -> None:
    done = tune(world, "--shots", 2, "--budget", 300, "--method", method, "--json")
    assert done.status == 0
    assert json.loads(done.out)["summary"]["steps"] >= 1


def test_an_oracle_that_breaks_stops_the_run_and_loses_nothing(world: World) -> None:
    (world.folder / "broken").touch()
    budget = ["--method", "spsa-gc", "--budget", 300, "--oracle", world.oracle("fragile")]
    stopped = tune(world, *budget)
    assert stopped.status == 4
    assert "raised RuntimeError: out of memory" in stopped.line
    (world.folder / "broken").unlink()
    again = tune(world, *budget, "--resume")
    assert again.status in (0, 3)  # the batch in flight stays charged, so that the last step may not fit
    assert len(world.asked) == world.asked.total() <= 300
    assert (world.run / "coordinator.safetensors").is_file()


@pytest.mark.parametrize("limit", ["--budget", "--max-price"])
def test_a_larger_limit_pays_for_what_was_lost_and_ends_what_was_planned(world: World, limit: str) -> None:
    def tuned(most: int, *arguments: object) -> Outcome:
        money = ["--budget", 5_000, "--price", 1_000] if limit == "--max-price" else []
        return tune(world, "--method", "spsa-gc", "--oracle", world.oracle("fragile"), *money, limit, most, *arguments)

    (world.folder / "broken").touch()
    harmed = tuned(300)
    while harmed.status == 4:  # what it asks each time stays charged
        harmed = tuned(300, "--resume")
    assert (harmed.status, "a larger --budget (or --max-price" in harmed.line) == (3, True)
    (world.folder / "broken").unlink()
    assert tuned(300, "--resume").status == 3
    refused = tuned(299, "--resume")
    assert (refused.status, f"was begun with {limit} 300" in refused.line) == (2, True)
    asked = world.asked.total()
    ended = tuned(900, "--resume")
    assert (ended.status, bbsmooth("verify", world.run).status) == (0, 0)
    assert tuned(900, "--resume").out == ended.out
    unharmed = world.folder / "unharmed"
    assert tuned(300, "--out", unharmed).status == 0
    assert describe_coordinator(world.run) == describe_coordinator(unharmed)
    assert world.asked.total() - asked <= 2 * 300
    assert (world.run / "history.jsonl").read_bytes() == (unharmed / "history.jsonl").read_bytes()
    assert "was begun with" in tuned(900, "--resume", "--out", unharmed).line  # it ended, and buys no more steps


def test_more_attempts_do_not_change_the_plan(tmp_path: Path) -> None:
    settings = {"budget": 300, "max_attempts": 50, "max_price": None}
    manifest = {"format": 1, "command": "tune", "settings": settings, "resumed": []}
    asking = OracleConfig(oracle="local-vit", budget=300, max_attempts=90)
    for status, attempts in ((Status.BUDGET, 50), (Status.DONE, 90), (Status.INTERRUPTED, 90)):
        write_json(tmp_path / "manifest.json", manifest | {"status": status.value})
        assert planned(tmp_path, asking) == replace(asking, max_attempts=attempts)


def test_a_budget_is_part_of_the_plan(world: World) -> None:
    tune(world)
    done = tune(world, "--budget", 300, "--resume")
    assert done.status == 2
    assert "was begun with --budget 0, not 300" in done.line


Change = Callable[[list[dict[str, Any]]], Any]
HISTORIES: dict[str, Change] = {
    "an event twice": lambda events: events.insert(1, events[1]),
    "an event gone": lambda events: events.remove(events[1]),
    "the last one gone": lambda events: events.pop(),
    "another best": lambda events: (
        [event.update(heldout_accuracy_start=0.123) for event in events if "best_step" in event] and None
    ),
    "fewer queries": lambda events: events[-1].update(queries=1),
    "another step": lambda events: events[1].update(step=7),
}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = build(tmp_path_factory.mktemp("tuned"))
    assert tune(world, "--budget", 300).status == 0
    return world


def killed_copy(tuned: World, folder: Path) -> Path:
    run = Path(shutil.copytree(tuned.run, folder / "run"))
    killed(run)
    (run / "summary.json").unlink()
    return run


def history(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("change", HISTORIES.values(), ids=HISTORIES.keys())
def test_a_changed_history_of_a_killed_tuning_ends_before_any_query(
    tuned: World, tmp_path: Path, change: Change
) -> None:
    run, asked = killed_copy(tuned, tmp_path), tuned.asked.total()
    events = history(run)
    change(events)
    write_lines(run / "history.jsonl", events)
    done = tune(tuned, "--budget", 300, "--resume", "--out", run)
    assert done.status == 2
    assert "history.jsonl does not lead to checkpoint.safetensors" in done.err.splitlines()[-1]
    (run / "checkpoint.safetensors").unlink()  # as the line says
    assert tune(tuned, "--budget", 300, "--resume", "--out", run).status == 0
    assert history(run) == history(tuned.run)
    assert describe_coordinator(run) == describe_coordinator(tuned.run)
    assert tuned.asked.total() == asked


def test_a_run_whose_steps_are_those_of_another_version_stays_as_it_is(tuned: World, tmp_path: Path) -> None:
    run = killed_copy(tuned, tmp_path / "run")
    checkpoint = run / "checkpoint.safetensors"
    checkpoint.write_bytes(TuneState.from_bytes(checkpoint.read_bytes(), identity=None).to_bytes(identity="of 0.0"))
    before, asked = {file: file.read_bytes() for file in run.glob("*.json*")}, tuned.asked.total()
    done = tune(tuned, "--budget", 300, "--resume", "--out", run)
    assert done.status == 2
    assert "was begun by a version that divides a budget into other steps" in done.err.splitlines()[-1]
    assert tuned.asked.total() == asked
    assert before == {file: file.read_bytes() for file in run.glob("*.json*")}


def test_a_crash_between_history_and_checkpoint_leaves_no_event_twice(tuned: World, tmp_path: Path) -> None:
    run = killed_copy(tuned, tmp_path)
    write_lines(run / "history.jsonl", [*history(run), {"step": 99, "queries": 10_000}])
    assert tune(tuned, "--budget", 300, "--resume", "--out", run).status == 0
    assert history(run) == history(tuned.run)


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "pretrained.safetensors"])
def test_a_flipped_bit_in_the_state_of_a_killed_tuning_is_one_line(tuned: World, tmp_path: Path, name: str) -> None:
    for place in (3, 40, -1, -1000):
        run = killed_copy(tuned, tmp_path / f"at{place}")
        raw = bytearray((run / name).read_bytes())
        raw[place] ^= 2
        (run / name).write_bytes(raw)
        done = tune(tuned, "--budget", 300, "--resume", "--out", run)
        assert done.status == 2, (place, done)
        assert name in done.err.splitlines()[-1]
        (run / name).unlink()
        assert tune(tuned, "--budget", 300, "--resume", "--out", run).status == 0
        assert describe_coordinator(run) == describe_coordinator(tuned.run)
