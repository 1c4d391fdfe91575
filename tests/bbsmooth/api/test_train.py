"""`bbsmooth.train`: what is trained is judged again by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import binomtest
from torch import Tensor
from typer.testing import CliRunner

import bbsmooth as bb
from bbsmooth.cli.main import app
from bbsmooth.data import load
from tests.oracles import networks

NOISE = bb.Gaussian(0.5)
DIGITS, JUDGED = load("mnist5k", split="train"), load("mnist5k", split="test")
FEW = DIGITS.images(range(64)), DIGITS.labels(range(64))


def train(run: Path, images: Any = FEW[0], labels: Any = FEW[1], *, model: Any = "local-vit", **changed: Any) -> Any:
    settings: dict[str, Any] = {"method": "head", "epochs": 2, "noise": NOISE, "seed": 0}
    settings |= {"test_images": JUDGED.images(range(400)), "test_labels": JUDGED.labels(range(400))}
    return bb.train(model, images, labels, run=run, **settings | changed)


def weights(run: Path) -> Tensor:
    return torch.cat([tensor.flatten() for _, tensor in sorted(load_file(run / "model.safetensors").items())])


def right(name: str, images: Tensor, labels: Tensor) -> int:
    return int((bb.oracle(name).query(images).labels == labels).sum())


def test_its_accuracies_are_those_of_the_oracle_that_comes_out(tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []
    found = train(tmp_path / "run", method="full", callbacks=[lambda task, done, facts: heard.append((task, done))])
    images, labels = JUDGED.images(range(400)), JUDGED.labels(range(400))
    assert found.clean_accuracy == pytest.approx(right(found.name, images, labels) / 400)
    generator = torch.Generator().manual_seed(7)
    noisy = [images / 255 + 0.5 * torch.randn(images.shape, generator=generator) for _ in range(5)]
    rate = sum(right(found.name, each, labels) for each in noisy) / 2000
    assert binomtest(round(found.noisy_accuracy * 400), 400, rate).pvalue > 1e-4  # else under another sigma
    assert rate < found.clean_accuracy - 0.1
    assert [row["epoch"] for row in found.rows()] == [1, 2]
    assert heard[-1] == ("train", 2)
    assert found.settings["sigma"] == 0.5
    assert bb.load(tmp_path / "run").rows() == found.rows()
    assert bb.verify(tmp_path / "run").verified
    assert CliRunner().invoke(app, ["report", str(tmp_path / "run"), "--format", "text"]).exit_code == 0


def test_the_same_seed_trains_the_same_model_and_a_run_is_not_trained_twice(tmp_path: Path) -> None:
    first, other = train(tmp_path / "0"), train(tmp_path / "1", seed=1)
    before = (first.run / "model.safetensors").stat().st_mtime_ns
    pairs = FEW[0].numpy() / 255, [str(int(label)) for label in FEW[1]]
    same = train(tmp_path / "again", *pairs)
    assert torch.equal(weights(first.run), weights(same.run))
    assert not torch.equal(weights(first.run), weights(other.run))
    assert train(tmp_path / "0").summary == first.summary
    assert (first.run / "model.safetensors").stat().st_mtime_ns == before
    for changed in ({"seed": 1}, {"noise": bb.Gaussian(0.25)}, {"epochs": 3}, {"resume": False}):
        with pytest.raises(bb.UsageError):
            train(tmp_path / "0", **changed)


def test_training_under_noise_makes_a_model_better_under_noise(tmp_path: Path) -> None:
    images, labels = DIGITS.images(range(1_000)), DIGITS.labels(range(1_000))
    found = train(tmp_path / "run", images, labels, method="full", epochs=3)
    clean = train(tmp_path / "none", images, labels, method="full", epochs=1, learning_rate=1e-12)
    assert found.noisy_accuracy > clean.noisy_accuracy + 0.1


def test_a_network_of_ones_own_is_trained_with_statistics_that_follow(tmp_path: Path) -> None:
    model = f"torch:{networks.__file__}:convolutional?image_shape=1x28x28"
    found = train(tmp_path / "run", model=model, batch_statistics=True)
    images, labels = JUDGED.images(range(400)), JUDGED.labels(range(400))
    assert found.clean_accuracy == pytest.approx(right(f"trained:{tmp_path / 'run'}", images, labels) / 400)
    assert any("running_mean" in name for name in load_file(tmp_path / "run" / "model.safetensors"))


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    for changed, match in (
        ({"images": FEW[0], "labels": None}, "labels"),
        ({"method": "none"}, "`method`"),
        ({"rank": 2}, "`rank`"),
        ({"model": torch.nn.Linear(784, 10)}, "`model` must be a name, got Linear; .* torch:PATH"),
    ):
        with pytest.raises(bb.UsageError, match=match):
            train(tmp_path / "run", **changed)
    with pytest.raises(bb.ShapeError):
        train(tmp_path / "run", np.zeros((2, 1, 28, 28), np.int64), [0, 1])
    assert not (tmp_path / "run").exists()
