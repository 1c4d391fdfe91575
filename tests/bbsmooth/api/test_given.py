"""Anyone's denoiser from Python: a function or module before every call, and what is tuned behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bbsmooth as bb
from bbsmooth.coordinator.denoisers import opening
from bbsmooth.runs.directory import read_manifest

GAUSSIAN = bb.Gaussian(0.25)
COHEN = bb.Cohen(num_selection=10, num_estimation=60, alpha=0.01)
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)
LABELS = (IMAGES.mean((1, 2, 3)) > 127).astype(np.int64)


def bright(images: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-40 * (images.mean((1, 2, 3)) - 0.5)))
    return np.stack([1 - p, p], 1)


def half(images: Tensor, sigma: float) -> Tensor:
    mean = images.mean((2, 3), keepdim=True)
    return mean + (images - mean) / (1 + sigma)


def test_a_function_is_a_front_in_every_call(tmp_path: Path) -> None:
    oracle = bb.oracle(bright, image_shape=(1, 8, 8), classes=2)
    found = bb.certify(
        oracle, IMAGES[:3], LABELS[:3], noise=GAUSSIAN, plan=COHEN, seed=0, run=tmp_path / "run", front=half
    )
    assert len(found) == 3
    assert bb.verify(tmp_path / "run").verified
    again = bb.certify(
        oracle, IMAGES[:3], LABELS[:3], noise=GAUSSIAN, plan=COHEN, seed=0, run=tmp_path / "run", front=half
    )
    assert again.ledger == found.ledger  # the function of a resumed run is the same, by its code
    with pytest.raises(bb.UsageError):
        bb.certify(
            *(oracle, IMAGES[:3], LABELS[:3]),
            noise=GAUSSIAN,
            plan=COHEN,
            seed=0,
            run=tmp_path / "run",
            front=lambda images, sigma: images,
        )
    told = bb.predict(oracle, IMAGES[:1], noise=GAUSSIAN, num_draws=20, alpha=0.1, seed=0, front=half)
    assert len(told) == 1


def test_what_was_tuned_behind_an_object_asks_for_it_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = bb.oracle(bright, image_shape=(1, 8, 8), classes=2)
    torch.manual_seed(0)
    module = nn.Conv2d(1, 1, 1)
    nn.init.constant_(module.weight, 0.9)
    assert module.bias is not None
    nn.init.constant_(module.bias, 0.05)
    tuned = bb.tune(
        *(oracle, IMAGES, LABELS),
        noise=GAUSSIAN,
        budget=bb.Budget(queries=300),
        seed=0,
        run=tmp_path / "tuned",
        start=module,
    )
    assert tuned.method == "matrix-scaling"
    monkeypatch.setattr(opening, "_handed_over", {})  # as in another process

    def certified() -> bb.Certificates:
        return bb.certify(
            oracle, IMAGES[:2], LABELS[:2], noise=GAUSSIAN, plan=COHEN, seed=0, run=tmp_path / "run", front=tuned
        )

    with pytest.raises(bb.UsageError, match="hand the same over to `bbsmooth.denoiser` first"):
        certified()
    bb.denoiser(module)
    assert len(certified()) == 2
    assert read_manifest(tmp_path / "run")["coordinator"]


def test_what_it_lets_depend_on_the_batch_is_refused_before_a_query(tmp_path: Path) -> None:
    def whitened(images: Tensor, sigma: float) -> Tensor:
        return images - images.mean() + 0.5

    def unasked(images: np.ndarray) -> np.ndarray:
        raise AssertionError("a query was asked")

    oracle = bb.oracle(unasked, image_shape=(1, 8, 8), classes=2)
    with pytest.raises(bb.UsageError, match="depend on the others in its batch"):
        bb.certify(
            *(oracle, IMAGES[:2], LABELS[:2]), noise=GAUSSIAN, plan=COHEN, seed=0, run=tmp_path / "run", front=whitened
        )
    assert not (tmp_path / "run").exists()


def test_an_oracle_of_any_shape_takes_a_denoiser_of_any_shape(tmp_path: Path) -> None:
    found = bb.certify(
        *(bright, IMAGES[:2], LABELS[:2]), noise=GAUSSIAN, plan=COHEN, seed=0, run=tmp_path / "run", front=half
    )
    assert len(found) == 2


@pytest.mark.parametrize("wrong", [3, object()])
def test_what_is_no_denoiser_is_refused(wrong: object) -> None:
    with pytest.raises(bb.UsageError):
        bb.denoiser(wrong)  # type: ignore[arg-type]


@pytest.mark.slow  # deepinv takes seconds to import
def test_a_denoiser_of_deepinv_stands_before_an_oracle(tmp_path: Path) -> None:
    models = pytest.importorskip("deepinv.models")
    torch.manual_seed(0)
    oracle = bb.oracle(bright, image_shape=(1, 8, 8), classes=2)
    for number, theirs in enumerate(
        (
            models.DnCNN(pretrained=None, in_channels=1, out_channels=1, depth=3, nf=4),
            models.MedianFilter(3),
        )
    ):
        found = bb.certify(
            *(oracle, IMAGES[:2], LABELS[:2]),
            noise=GAUSSIAN,
            plan=COHEN,
            seed=0,
            run=tmp_path / str(number),
            front=theirs,
        )
        assert bb.verify(found.run).verified

    warm = models.TVDenoiser(n_it_max=5)  # begins where its last call ended, so a draw depends on those before it
    with pytest.raises(bb.UsageError, match="changes as it is used"):
        bb.certify(
            *(oracle, IMAGES[:2], LABELS[:2]), noise=GAUSSIAN, plan=COHEN, seed=0, run=tmp_path / "warm", front=warm
        )


@pytest.mark.parametrize("said", [{"size": "small"}, {"epochs": 3}])
def test_what_is_of_pre_training_is_refused_beside_a_start(said: dict[str, Any], tmp_path: Path) -> None:
    oracle = bb.oracle(bright, image_shape=(1, 8, 8), classes=2)
    run = tmp_path / "tuned"
    with pytest.raises(bb.UsageError, match="are of pre-training, in whose place there is `start`"):
        bb.tune(
            *(oracle, IMAGES, LABELS),
            noise=GAUSSIAN,
            budget=bb.Budget(queries=300),
            seed=0,
            run=run,
            start=tmp_path,
            **said,
        )
    assert not run.exists()
