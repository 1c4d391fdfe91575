"""`bbsmooth accept` from the command line and from Python: answers, ends, files, and forgeries that `verify` finds."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import bbsmooth as bb
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.files import write_json
from bbsmooth.runs.hashes import run_hashes
from bbsmooth.verification.run import verify
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, build, killed
from tests.waiting import until

Record = dict[str, Any]
IMAGES = 80


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Dark and bright images in turn; every tenth lies near the middle, and one of them has the wrong label."""
    made = build(tmp_path)
    generator = np.random.default_rng(0)
    labels = np.arange(IMAGES) % 2
    pixels = np.where(labels, 215, 30)[:, None, None] + generator.integers(-25, 26, (IMAGES, 8, 8))
    pixels[::10] = generator.integers(105, 150, (IMAGES // 10, 8, 8))
    np.savez(tmp_path / "images.npz", x=pixels.astype(np.uint8), y=labels)
    return made


def accept(world: World, *arguments: object, function: str = "bright", out: Path | None = None) -> Outcome:
    command = ["accept", "--oracle", world.oracle(function), "--data", f"npz:{world.folder / 'images.npz'}"]
    command += ["--sigma", "0.25", "--radius", "0.1", "--at-least", "0.7", "--seed", "1", "--progress", "none"]
    return bbsmooth(*command, "--out", out or world.run, *arguments)


def summary(run: Path) -> Record:
    return dict(json.loads((run / "summary.json").read_text()))


def lines(run: Path) -> list[Record]:
    return [json.loads(line) | {"seconds": 0} for line in (run / "acceptance.jsonl").read_text().splitlines()]


def test_a_claim_that_holds_is_shown_with_its_risk(world: World) -> None:
    found = accept(world, "--junit", world.folder / "junit.xml")
    assert found.status == 0
    assert "Shown, by" in found.out
    assert "the risk that this is false is at most 5 %" in " ".join(found.out.split())
    (claim,) = summary(world.run)["claims"]
    assert claim["answer"] == "shown"
    assert claim["images"] < IMAGES
    ledger = json.loads((world.run / "ledger.json").read_text())
    assert ledger["spent"]["select"] == 0
    assert ledger["spent_total"] < 1.5 * summary(world.run)["queries"]
    checked = verify(world.run)
    assert checked.findings == checked.unchecked == ()
    suites = ElementTree.parse(world.folder / "junit.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("1", "0")


def test_what_is_refuted_or_not_shown_leaves_with_5(world: World) -> None:
    held = np.load(world.folder / "images.npz")
    np.savez(world.folder / "wrong.npz", x=held["x"], y=np.append(np.zeros(IMAGES - 1, dtype=int), 1))
    wrong = f"npz:{world.folder / 'wrong.npz'}"
    refuted = accept(world, "--data", wrong, "--junit", world.folder / "junit.xml", "--json")
    assert refuted.status == 5
    assert json.loads(refuted.out)["summary"]["answer"] == "refuted"
    suites = ElementTree.parse(world.folder / "junit.xml").getroot()
    (failure,) = suites.iter("failure")
    assert failure.get("type") == "refuted"
    ended = accept(world, "--budget", 40, out=world.folder / "short")
    assert ended.status == 5
    assert "a larger --budget and --resume go on" in ended.err
    assert "Not shown" in ended.out
    assert read_manifest(world.folder / "short")["status"] == "stopped by the budget"
    assert verify(world.folder / "short").findings == ()


def test_a_budget_only_postpones_the_answer(world: World) -> None:
    assert accept(world, out=world.folder / "whole").status == 0
    for budget in (20, 90, 100_000):
        found = accept(world, "--budget", budget, *(["--resume"] if world.run.exists() else []))
    assert found.status == 0
    assert lines(world.run) == lines(world.folder / "whole")
    assert verify(world.run).findings == ()


def test_batches_and_calls_at_once_change_nothing(world: World) -> None:
    for number, ways in enumerate((["--batch-size", 1], ["--batch-size", 7, "--concurrency", 3], [])):
        assert accept(world, *ways, out=world.folder / str(number)).status == 0
    assert lines(world.folder / "0") == lines(world.folder / "1") == lines(world.folder / "2")


def test_every_class_and_every_slice_is_a_claim(world: World) -> None:
    found = accept(world, "--groups", "class", "--at-least", 0.5)
    assert found.status == 0
    assert [claim["group"] for claim in summary(world.run)["claims"]] == ["0", "1"]
    with (world.folder / "slices.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["hospital"], *[["north"], ["south"]] * (IMAGES // 2)])
    slices = accept(
        world, "--groups", f"{world.folder / 'slices.csv'}:hospital", "--at-least", 0.5, out=world.folder / "slices"
    )
    assert slices.status == 0
    assert "% of the images in each of 2 groups (north, south), 80 in all, are right" in " ".join(slices.out.split())
    assert verify(world.run).findings == verify(world.folder / "slices").findings == ()


def test_several_radii_are_answered_together(world: World) -> None:
    found = accept(world, "--radius", 2.0, "--n", 200)
    assert found.status == 2
    assert "cannot certify radius 2" in found.line
    found = accept(world, "--radius", 0.6)
    assert [(claim["radius"], claim["answer"]) for claim in summary(world.run)["claims"]] == [
        (0.1, "shown"),
        (0.6, "shown"),
    ]
    assert "within L2 radius 0.1 and 0.6" in " ".join(found.out.split())
    assert verify(world.run).findings == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--at-least", 1.2], "--at-least must lie between 0 and 1"),
        (["--limit", 3], "3 images could not show a share of 0.7"),
        (["--noise", "splitting"], "splitting"),
        (["--population", "all"], "--population must be data or source"),
        (["--groups", "hospital"], "--groups must be class or FILE.csv:COLUMN"),
        (["--budget", 0], "cannot pay"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_a_query(world: World, arguments: list[object], words: str) -> None:
    found = accept(world, *arguments, function="counted")
    assert found.status == 2
    assert words in found.line
    assert not world.asked


def test_images_without_labels_are_refused(world: World) -> None:
    held = np.load(world.folder / "images.npz")
    np.savez(world.folder / "images.npz", x=held["x"])
    found = accept(world)
    assert found.status == 2
    assert "labels" in found.line


def test_a_page_says_it_in_one_sentence(world: World) -> None:
    assert accept(world).status == 0
    assert bbsmooth("report", world.run).status == 0
    page = " ".join((world.run / "report.html").read_text().split())
    assert "at least 70 % of the 80 images are right and robust within L2 radius 0.1" in page
    assert bbsmooth("report", world.run, "--format", "json").status == 0


def test_the_same_from_python(world: World) -> None:
    held = np.load(world.folder / "images.npz")

    def bright(images: NDArray[np.float32]) -> NDArray[np.int64]:
        labels: NDArray[np.int64] = (images.mean((1, 2, 3)) > 0.5).astype(np.int64)
        return labels

    oracle = bb.oracle(bright, image_shape=(1, 8, 8), classes=2, scores="labels")
    ways: dict[str, Any] = {"noise": bb.Gaussian(sigma=0.25), "radii": [0.1], "at_least": 0.7, "seed": 1}
    ways |= {"alpha_total": 0.05, "beta": 0.05, "population": "source", "max_estimation": 500, "max_images": 80}
    images, labels = held["x"][:, None], held["y"]
    short = bb.accept(oracle, images, labels, run=world.run, budget=bb.Budget(queries=30), **ways)
    assert (short.answer, short.shown) == ("not shown", False)
    found = bb.accept(oracle, images, labels, run=world.run, **ways)
    assert found.shown
    assert found.claims[0]["risk"] == 0.05
    assert len(found.rows()) == found.summary["images"]
    assert "Shown, by" in str(found.overview())
    assert bb.verify(found).verified
    assert isinstance(bb.load(world.run), bb.Acceptance)
    with pytest.raises(bb.UsageError, match="at_least"):
        bb.accept(oracle, images, labels, run=world.run, **ways | {"at_least": 0.6})


def forged(run: Path, edit: Callable[[list[Record], Record, Record], None]) -> None:
    """Edit lines, summary and manifest, and make the hashes fit."""
    path = run / "acceptance.jsonl"
    records, found, manifest = [json.loads(line) for line in path.read_text().splitlines()], summary(run), None
    manifest = dict(json.loads((run / "manifest.json").read_text()))
    edit(records, found, manifest)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    write_json(run / "summary.json", found)
    write_json(run / "manifest.json", manifest)
    write_json(run / "manifest.json", manifest | {"hashes": run_hashes(run, manifest)})


def lucky(records: list[Record], found: Record, manifest: Record) -> None:
    """An image that was not certified is, with votes that would do it."""
    line = next(record for record in records if record["decisions"][0]["state"] != "certified")
    line |= {"counts": {str(line["label"]): line["draws"]}, "successes": line["draws"]}
    line["decisions"][0] |= {"state": "certified", "draws": line["draws"], "successes": line["draws"]}
    found["claims"][0]["certified"] += 1
    found["claims"][0]["undecided"] -= 1


def skipped(records: list[Record], found: Record, manifest: Record) -> None:
    """An image is left out."""
    del records[3]


def other_state(records: list[Record], found: Record, manifest: Record) -> None:
    next(one for one in records if one["decisions"][0]["state"] == "certified")["decisions"][0]["state"] = "refuted"


def other_answer(records: list[Record], found: Record, manifest: Record) -> None:
    found["answer"] = found["claims"][0]["answer"] = "refuted"


def other_share(records: list[Record], found: Record, manifest: Record) -> None:
    manifest["settings"]["at_least"] = found["claims"][0]["at_least"] = 0.75


def other_seed(records: list[Record], found: Record, manifest: Record) -> None:
    manifest["settings"]["seed"] = 2


def other_level(records: list[Record], found: Record, manifest: Record) -> None:
    manifest["settings"]["image_alpha"] = 0.3


def fewer_images(records: list[Record], found: Record, manifest: Record) -> None:
    records.pop()


@pytest.mark.parametrize(
    "edit", [lucky, skipped, other_state, other_answer, other_share, other_seed, other_level, fewer_images]
)
def test_a_forgery_whose_hashes_fit_is_found(world: World, edit: Callable[..., None]) -> None:
    assert accept(world).status == 0
    assert verify(world.run).findings == ()
    forged(world.run, edit)
    assert verify(world.run).findings != ()


def test_a_killed_run_goes_on_only_from_lines_that_its_answers_give(world: World) -> None:
    assert accept(world, out=world.folder / "whole").status == 0
    spent = json.loads((world.folder / "whole" / "ledger.json").read_text())["spent_total"]
    assert accept(world, "--budget", spent - 5, function="counted").status == 5
    killed(world.run)
    path = world.run / "acceptance.jsonl"
    raw, asked, found = path.read_bytes(), world.asked.total(), summary(world.run)
    records = [json.loads(line) for line in raw.splitlines()]
    assert len(records) > 2
    records[1]["decisions"][0]["state"] = "refuted"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    refused = accept(world, "--resume", "--budget", 100_000, function="counted")
    assert refused.status == 2
    assert "decisions: not as the answers on record have it" in refused.line
    assert world.asked.total() == asked
    assert summary(world.run) == found
    path.write_bytes(raw + b'{"position": 9, "ind')  # half a line, as a crash leaves it
    assert accept(world, "--resume", "--budget", 100_000, function="counted").status == 0
    assert lines(world.run) == lines(world.folder / "whole")


def test_a_killed_process_pays_for_nothing_twice(world: World) -> None:
    """A real process, killed while its calls are held."""
    command = ["accept", "--oracle", world.oracle("slow"), "--data", f"npz:{world.folder / 'images.npz'}"]
    command += [
        "--sigma",
        "0.25",
        "--radius",
        "0.1",
        "--at-least",
        "0.7",
        "--seed",
        "1",
        "--progress",
        "none",
        "--batch-size",
        "8",
    ]
    command += ["--out", str(world.run)]
    with world.holding(40):
        child = subprocess.Popen(
            [sys.executable, "-m", "bbsmooth", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        until(lambda: world.asked.total() >= 40 or child.poll() is not None)
        assert child.poll() is None
        child.kill()
        child.wait()
    before = world.asked.total()
    assert bbsmooth(*command, "--resume").status == 0
    assert accept(world, out=world.folder / "whole").status == 0
    assert lines(world.run) == lines(world.folder / "whole")
    ledger = json.loads((world.run / "ledger.json").read_text())
    assert world.asked.total() <= ledger["spent_total"] <= world.asked.total() + 16
    again = [name for name, times in world.asked.items() if times > 1]
    assert len(again) <= 16  # what was in flight when it was killed
    assert before < world.asked.total()
