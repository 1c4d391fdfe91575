"""Published methods by name: ZO-AE-DS from its pre-training to certificates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bbsmooth.coordinator import LatentCoordinator, load
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, killed


def tune(world: World, out: Path, *arguments: object) -> Outcome:
    quick = () if "--start" in arguments else ("--pretrain-epochs", 2)
    return bbsmooth(
        *("tune", "--oracle", world.oracle(), "--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.25),
        *("--budget", 600, *quick, "--out", out, *arguments),
    )


@pytest.mark.parametrize("method", ["zo-ae-ds-cge", "zo-ae-ds-rge"])
def test_zo_ae_ds_is_pre_trained_tuned_resumed_and_certified(method: str, world: World) -> None:
    tuned = world.folder / "tuned"
    assert tune(world, tuned, "--method", method).status == 0
    coordinator, parameters = load(tuned / "coordinator.safetensors")
    assert isinstance(coordinator, LatentCoordinator)
    assert coordinator.bottleneck.latent_size == 12  # three channels of 2 x 2: all coordinates are probed
    assert len(parameters) == len(coordinator.initial_parameters())
    asked, before = world.asked, (tuned / "coordinator.safetensors").read_bytes()

    killed(tuned)
    assert tune(world, tuned, "--method", method, "--resume").status == 0
    assert world.asked == asked
    assert load(tuned / "coordinator.safetensors")[0].fingerprint == coordinator.fingerprint
    assert len((tuned / "coordinator.safetensors").read_bytes()) == len(before)
    assert world.certify("--coordinator", tuned).status == 0
    assert bbsmooth("verify", world.run).status == 0
    assert bbsmooth("verify", tuned).status == 0


def test_it_goes_on_from_a_denoiser_and_from_its_own_run(world: World) -> None:
    plain, first, second = (world.folder / name for name in ("plain", "first", "second"))
    assert tune(world, plain, "--budget", 0).status == 0
    assert tune(world, first, "--method", "zo-ae-ds-rge", "--start", plain).status == 0
    assert tune(world, second, "--method", "zo-ae-ds-cge", "--start", first).status == 0
    own, other = (load(run / "coordinator.safetensors")[0] for run in (first, second))
    assert isinstance(own, LatentCoordinator)
    assert isinstance(other, LatentCoordinator)
    assert all((own.weights[name] == other.weights[name]).all() for name in own.weights)
    wrong = tune(world, world.folder / "wrong", "--method", "spsa-gc", "--start", first)
    assert "has an autoencoder behind its denoiser" in wrong.line


def test_images_that_no_latent_fits_are_refused(world: World) -> None:
    images = np.zeros((6, 10, 10), np.uint8)
    np.savez(world.folder / "images.npz", x=images, y=np.array([0, 0, 0, 1, 1, 1]))
    done = tune(world, world.run, "--method", "zo-ae-ds-cge")
    assert done.status == 2
    assert "--method: a bottleneck needs sides that are multiples of 4" in done.line
    assert world.asked.total() == 0
    assert not world.run.exists()
