"""A call and its command find the same, whatever is asked for; predictions also against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.stats import binomtest, norm
from typer.testing import CliRunner

import bbsmooth as bb
from bbsmooth.cli.main import app
from tests.bbsmooth.api.test_certify import FUNCTION, GREYS, LABELS, NOISE, PLANE

TIMES = {"seconds", "wall_seconds", "time", "seconds_per_query"}


class Doors:
    """A folder with a classifier, images, and commands that ask it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, f"module:{folder}/bright.py:bright?num_classes=2"
        (folder / "bright.py").write_text(FUNCTION)
        generator = torch.Generator().manual_seed(0)
        near = torch.randint(90, 135, (16, 1, 1, 1), generator=generator).expand(16, 1, 8, 8).byte().clone()
        self.train, self.labels = near, (near.double().mean((1, 2, 3)) / 255 * 64 > 28).long()
        data = {"x_train": near[:, 0], "y_train": self.labels, "x_test": GREYS[:, 0], "y_test": torch.tensor(LABELS)}
        arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in data.items()}
        np.savez(folder / "greys.npz", **arrays)

    def command(self, *arguments: object) -> dict[str, Any]:
        done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    @property
    def asked(self) -> tuple[str, ...]:
        return ("--oracle", self.name, "--data", f"npz:{self.folder}/greys.npz", "--sigma", "0.5", "--seed", "3")


@pytest.fixture
def doors(tmp_path: Path) -> Doors:
    return Doors(tmp_path)


def timeless(found: Any) -> Any:
    """Findings without what the clock says and where they lie."""
    if isinstance(found, dict):
        return {key: timeless(value) for key, value in found.items() if key not in TIMES | {"file", "files", "run"}}
    return [timeless(each) for each in found] if isinstance(found, list) else found


def test_predictions_are_those_of_the_command(doors: Doors) -> None:
    files = [doors.folder / f"{number}.png" for number in range(len(GREYS))]
    for file, image in zip(files, GREYS, strict=True):
        Image.fromarray(image[0].numpy()).save(file)
    options = ("--oracle", doors.name, "--sigma", "0.5", "--seed", "3", "--n", "400", "--alpha", "0.2")
    there = doors.command("predict", *options, *files)["predictions"]
    found = bb.predict(doors.name, GREYS, noise=NOISE, num_draws=400, alpha=0.2, seed=3)
    assert timeless(found.rows()) == timeless(there)


def test_predictions_are_those_of_the_truth() -> None:
    calls = [bb.predict(PLANE, GREYS, noise=NOISE, num_draws=400, alpha=0.2, seed=seed) for seed in (3, 4)]
    for row, distance in enumerate(PLANE.distance(GREYS).tolist()):
        side = int(GREYS[row].double().mean() / 255 * 64 > 28)
        counts = [found[row].counts for found in calls]
        right = sum(each.get(str(side), 0) for each in counts)
        assert binomtest(right, 800, norm.cdf(distance / NOISE.sigma)).pvalue > 1e-6  # else under another sigma
        p_value = binomtest(max(counts[0].values()), 400).pvalue
        assert calls[0][row].p_value == pytest.approx(p_value)
        assert calls[0][row].abstained is bool(p_value > 0.2)
    assert [one.counts for one in calls[0]] != [one.counts for one in calls[1]]


def test_a_forecast_is_that_of_the_command(doors: Doors) -> None:
    options = ("--radius", "0.25", "--n0", "20", "--n", "400", "--alpha", "0.02", "--beta", "0.05", "--pilot", "3")
    there = doors.command("plan", *doors.asked, *options, "--pilot-draws", "12", "--method", "sequential")
    settings: dict[str, Any] = {"num_selection": 20, "max_estimation": 400, "alpha": 0.02, "beta": 0.05, "pilot": 3}
    found = bb.plan(doors.name, GREYS, noise=NOISE, radii=(0.25,), seed=3, pilot_draws=12, **settings)
    assert timeless(found.summary["expected"]) == timeless(there["expected"])
    assert found.summary["pilot"]["queries"] == there["pilot"]["queries"]


def test_a_tuned_coordinator_is_that_of_the_command(doors: Doors) -> None:
    options = ("--budget", "120", "--method", "spsa", "--pretrain-epochs", "1")
    doors.command("tune", *doors.asked, *options, "--out", doors.folder / "command")
    found = bb.tune(
        doors.name,
        doors.train,
        doors.labels,
        noise=NOISE,
        budget=bb.Budget(queries=120),
        seed=3,
        method="spsa",
        epochs=1,
        run=doors.folder / "call",
    )
    ours, theirs = (load_file(run / "coordinator.safetensors") for run in (found.run, doors.folder / "command"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert found.ledger.total <= 120


def test_an_attack_is_that_of_the_command(doors: Doors) -> None:
    plan = bb.Cohen(num_selection=20, num_estimation=200, alpha=0.01)
    certified = bb.certify(doors.name, GREYS, LABELS, noise=NOISE, plan=plan, seed=0, run=doors.folder / "certified")
    named = doors.folder / "named"
    doors.command("certify", *doors.asked[:-1], 0, "--n0", 20, "--n", 200, "--alpha", 0.01, "--out", named)
    options = ("--method", "nes", "--radius", "0.5", "--steps", "2", "--search", "9", "--judge", "40", "--draws", "4")
    there = doors.command("attack", named, *options, "--alpha", "0.02", "--seed", "3", "--out", doors.folder / "a")
    found = bb.attack(
        certified,
        run=doors.folder / "b",
        method="nes",
        radii=(0.5,),
        steps=2,
        num_search=9,
        num_judge=40,
        draws=4,
        alpha=0.02,
        seed=3,
    )
    here = json.loads((found.run / "summary.json").read_text())
    assert {key: there[key] for key in here.keys() & there.keys() - TIMES} == {
        key: here[key] for key in here.keys() & there.keys() - TIMES
    }
    kept = [json.loads((run / "manifest.json").read_text())["settings"] for run in (found.run, doors.folder / "a")]
    elsewhere = {"oracle", "certificates", "data", "concurrency"}
    assert [{key: value for key, value in each.items() if key not in elsewhere} for each in kept] == [
        {key: value for key, value in kept[1].items() if key not in elsewhere}
    ] * 2
    assert (kept[0]["alpha"], kept[0]["seed"], kept[0]["draws"]) == (0.02, 3, 4)
    lines = [(run / "attacks.jsonl").read_text().splitlines() for run in (found.run, doors.folder / "a")]
    assert lines[0] == lines[1]


def test_a_denoiser_follows_its_seed_and_its_noise(doors: Doors) -> None:
    def made(**changed: Any) -> float:
        given: dict[str, Any] = {"noise": NOISE, "seed": 3, "epochs": 1} | changed
        return bb.pretrain(doors.train, **given).mean_squared_error

    assert made() == made()
    assert made() != made(seed=4)
    assert made() != made(noise=bb.Gaussian(0.25))
