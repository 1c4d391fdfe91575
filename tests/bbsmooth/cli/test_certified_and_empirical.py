"""Whatever a classifier was made by, what is proven of it is never more than what an attack leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bbsmooth.data import load
from bbsmooth.whitebox.methods import METHODS
from tests.bbsmooth.cli.world import bbsmooth

NOISE = ("--sigma", 0.25, "--progress", "none")
RADII = (0.1, 0.5, 2, 8)


def run(command: str, out: Path, *arguments: object) -> Path:
    done = bbsmooth(command, *arguments, "--out", out)
    assert (done.status, done.err) == (0, "")
    return out


def few(places: range, file: Path) -> tuple[object, ...]:
    """Words that name a few digits, so that judging what was trained takes no time, and the noise."""
    every = load("mnist5k", split="test")
    np.savez(file, x=every.images(places).permute(0, 2, 3, 1).numpy(), y=every.labels(places).numpy())
    return ("--data", f"npz:{file}", *NOISE)


@pytest.fixture(scope="module")
def trained_on(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """Digits to make a classifier of."""
    return few(range(200, 400), tmp_path_factory.mktemp("digits") / "trained-on.npz")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """Digits that no classifier saw before it was certified on them."""
    return few(range(200), tmp_path_factory.mktemp("digits") / "others.npz")


def oracle(way: str, digits: tuple[object, ...], folder: Path) -> tuple[object, ...]:
    """How to name the classifier that a way of making one leaves, after a moment's training."""
    if way == "bare":
        return ("--oracle", "local-vit")
    if way == "black-box":
        words = ("--oracle", "local-vit", *digits, "--budget", 0, "--pretrain-epochs", 2)
        return ("--oracle", "local-vit", "--coordinator", run("tune", folder / "tune", *words))
    epochs = 20 if way == "denoiser" else 1  # before that it shows the same whatever it sees, which nothing turns
    words = ("--model", "local-vit", *digits, "--method", way, "--epochs", epochs)
    return ("--oracle", f"trained:{run('train', folder / 'train', *words)}")


@pytest.mark.parametrize("way", ["bare", "black-box", *METHODS])
def test_certified_accuracy_is_at_most_empirical_accuracy(
    way: str, trained_on: tuple[object, ...], digits: tuple[object, ...], tmp_path: Path
) -> None:
    words = (*oracle(way, trained_on, tmp_path), *digits, "--n0", 10, "--n", 200, "--limit", 3)
    certified = run("certify", tmp_path / "certified", *words)
    radii = [word for radius in RADII for word in ("--radius", radius)]
    searched = ("--steps", 10, "--draws", 4, "--search", 20, "--judge", 300, "--progress", "none")
    attacked = run("attack", tmp_path / "attacked", certified, *radii, *searched)
    images = [json.loads(line) for line in (attacked / "attacks.jsonl").read_text().splitlines()]
    summary = json.loads((attacked / "summary.json").read_text())

    assert summary["contradictions"] == []
    for image in images:
        for radius in RADII:
            proven = image["radius"] is not None and image["radius"] >= radius
            turned = image["found"] is not None and image["found"] < radius
            assert not (proven and turned)
    for row in summary["accuracy"]:
        assert row["certified"]["value"] <= row["empirical"]["value"]
    assert any(image["radius"] is not None for image in images)
    assert any(image["found"] is not None for image in images)
