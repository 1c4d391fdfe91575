"""Surrogates see what the images are, whoever normalised them, and nobody moves their weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.classifier import Classifier
from bbsmooth.whitebox.surrogates import Surrogate
from oracles.zoo import owned_model
from tests.bbsmooth.whitebox.models import VIT, VIT_ARGUMENTS, build
from tests.bbsmooth.whitebox.test_storage import base

CPU = torch.device("cpu")
IMAGES = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def other(folder: Path) -> str:
    """A model of other weights that takes images normalised in another way."""
    path = folder / "other.safetensors"
    header = {"architecture": VIT, "model_args": json.dumps(VIT_ARGUMENTS), "mean": "[0.1]", "std": "[0.3]"}
    save_file(build(seed=1)[0].state_dict(), path, header)
    return f"timm:{VIT}?checkpoint={path}&image_size=16"


@pytest.mark.parametrize("kind", ["same", "other"])
def test_a_surrogate_gets_the_image_that_another_normalised(kind: str, tmp_path: Path) -> None:
    classifier = Classifier.of(owned_model(base(tmp_path)), None, seed=0)
    name = other(tmp_path) if kind == "other" else base(tmp_path)
    surrogate = Surrogate.named(name, (1, 16, 16))
    expected = Classifier.of(owned_model(name), None, seed=0).logits(IMAGES)
    found = surrogate.behind(classifier, CPU)(classifier.normalised(IMAGES))
    assert torch.allclose(surrogate.on(CPU)(IMAGES), expected, atol=1e-5)
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(expected, classifier.logits(IMAGES), atol=1e-2) or kind == "same"


def test_gradients_reach_the_images_and_no_weight(tmp_path: Path) -> None:
    surrogate = Surrogate.named(base(tmp_path), (1, 16, 16))
    images = IMAGES.clone().requires_grad_()
    with torch.enable_grad():
        surrogate.on(CPU)(images).square().sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    assert images.grad.abs().max() > 0
    assert all(weight.grad is None for weight in surrogate.model.module.parameters())


def test_what_takes_no_such_images_or_tells_nothing_apart_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`surrogate` .* takes images \(1, 16, 16\), these are \(3, 16, 16\)"):
        Surrogate.named(base(tmp_path), (3, 16, 16))
    with pytest.raises(UsageError, match=r"`surrogates` .* takes images \(1, 16, 16\), these are \(1, 16, 8\)"):
        Surrogate.named(base(tmp_path), (1, 16, 8), field="surrogates")
    single = f"timm:{VIT}?weights=random&image_size=16&num_classes=1&in_chans=1&mean=0.5&std=0.5"
    with pytest.raises(UsageError, match="has a single class"):
        Surrogate.named(single, (1, 16, 16))
