"""The recipe for CIFAR-10: single steps of it, and what it writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.cifar_vit.train import (
    ARCHITECTURE,
    CLASSES,
    LONG,
    Augmentation,
    Recipe,
    Training,
    accuracy,
    main,
    new_model,
    shifted,
)
from oracles.zoo import timm_model

IMAGES = torch.randint(1, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8)


def test_every_image_is_shifted_and_mirrored_by_itself() -> None:
    moved = shifted(IMAGES, 2, torch.Generator().manual_seed(0))
    found = set()
    for image, result in zip(IMAGES, moved, strict=True):
        padded = torch.nn.functional.pad(image, (2, 2, 2, 2))
        possible = {
            (down, right, mirrored): padded[:, down : down + 32, right : right + 32].flip(2 if mirrored else ())
            for down in range(5)
            for right in range(5)
            for mirrored in (False, True)
        }
        (way,) = [way for way, picture in possible.items() if torch.equal(picture, result)]
        found.add(way)

    assert len(found) > 4
    assert {mirrored for _, _, mirrored in found} == {False, True}


def test_mixed_labels_are_shares() -> None:
    augmentation = Augmentation(replace(LONG, group=4), torch.Generator().manual_seed(0))
    pixels, shares = augmentation(IMAGES, LABELS)

    assert (pixels.shape, pixels.dtype) == (IMAGES.shape, torch.float32)
    assert 0 <= pixels.min() < pixels.max() <= 1
    torch.testing.assert_close(shares.sum(1), torch.ones(8))
    assert (shares > 0).sum() == 16


def test_without_mixing_each_image_is_of_its_class() -> None:
    pixels, shares = Augmentation(Recipe(), torch.Generator().manual_seed(0))(IMAGES, LABELS)

    assert torch.equal(pixels, shifted(IMAGES, 4, torch.Generator().manual_seed(0)).float() / 255)
    assert torch.equal(shares.argmax(1), LABELS)


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    recipe, checkpoint = Recipe(epochs=2, batch_size=2), tmp_path / "checkpoint"
    whole = Training(IMAGES, LABELS, recipe, torch.device("cpu")).run(None).state_dict()
    stopped = Training(IMAGES, LABELS, recipe, torch.device("cpu"))
    for _ in range(6):  # ends within the second epoch
        stopped._train()
    stopped._save(checkpoint)
    again = Training(IMAGES, LABELS, recipe, torch.device("cpu")).run(checkpoint).state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_the_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    device, checkpoint = torch.device("cpu"), tmp_path / "checkpoint"
    Training(IMAGES, LABELS, Recipe(epochs=1, batch_size=4), device).run(checkpoint)
    with pytest.raises(ValueError, match="another recipe"):
        Training(IMAGES, LABELS, Recipe(epochs=2, batch_size=4), device).run(checkpoint)


def test_accuracy_counts_right_answers() -> None:
    model = new_model()
    with torch.inference_mode():
        said = model(
            (IMAGES.float() / 255 - torch.tensor([0.4914, 0.4822, 0.4465])[:, None, None])
            / torch.tensor([0.2470, 0.2435, 0.2616])[:, None, None]
        ).argmax(1)

    assert accuracy(model, IMAGES, said) == 1
    assert accuracy(model, IMAGES, (said + 1) % 10) == 0


def test_one_step_writes_an_oracle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, data = tmp_path / "vit.safetensors", tmp_path / "images.npz"
    np.savez(data, x=IMAGES.permute(0, 2, 3, 1).numpy(), y=LABELS.numpy())
    main(["--data", f"npz:{data}", "--out", str(out), "--epochs", "1", "--device", "cpu"])
    oracle = timm_model(ARCHITECTURE, checkpoint=out, device="cpu")

    assert out.stat().st_size < 8_000_000
    assert oracle.spec.classes.names == CLASSES
    assert oracle.spec.image_shape == (3, 32, 32)
    assert len(oracle.query(IMAGES)) == 8
    printed = capsys.readouterr().out
    assert "of 8" in printed
    assert f"{out.stat().st_size} bytes, sha256" in printed
