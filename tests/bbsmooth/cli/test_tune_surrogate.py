"""`bbsmooth tune --surrogate`: what it leaves, how it goes on, and what it refuses before anything is begun."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import bbsmooth as bb
from bbsmooth.runs.files import write_json
from bbsmooth.runs.hashes import run_hashes
from bbsmooth.whitebox.surrogates import Surrogate
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, killed

SHAPE: dict[str, Any] = {"patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2}
NAME = "vit_tiny_patch16_224"


def surrogate(folder: Path, *, name: str = "other", seed: int = 0, side: int = 8, channels: int = 1) -> str:
    """A classifier of three classes that knows nothing."""
    path = folder / f"{name}.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = timm.create_model(NAME, img_size=side, in_chans=channels, num_classes=3, **SHAPE)
        for weight in module.get_classifier().parameters():  # type: ignore[operator]
            torch.nn.init.normal_(weight)
    header = {"architecture": NAME, "model_args": json.dumps(SHAPE | {"in_chans": channels}), "mean": "[0.5]"}
    save_file(module.state_dict(), path, header)
    return f"timm:{NAME}?checkpoint={path}&image_size={side}&num_classes=3"


def tune(world: World, *arguments: object) -> Outcome:
    return bbsmooth(
        *("tune", "--oracle", world.oracle(), "--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.25),
        *("--budget", 0, *(() if "--start" in arguments else ("--pretrain-epochs", 1)), "--out", world.run, *arguments),
    )


def manifest(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "manifest.json").read_text()))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "coordinator.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps, the images are judged by the loss, and any result counts as a gain."""
    from bbsmooth.coordinator import StabilityPlan

    plan = StabilityPlan(steps=3, learning_rate=1e-2, averaging=0.0)
    monkeypatch.setattr("bbsmooth.api.sessions.tuning_surrogate.StabilityPlan", lambda: plan)
    rising = iter(range(10_000))
    monkeypatch.setattr(
        "bbsmooth.coordinator.stability._Task.agreement", lambda *_: torch.full((6,), next(rising) / 1e4)
    )


@pytest.mark.usefixtures("eager")
def test_it_costs_no_query_and_is_on_record(world: World) -> None:
    name = surrogate(world.folder)
    plain = world.folder / "plain"
    assert tune(world, "--out", plain).status == 0
    done = tune(world, "--surrogate", name)
    assert done.status == 0, done.err
    assert world.asked.total() == 0
    said = manifest(world.run)["surrogate"]
    assert said == Surrogate.named(name, (1, 8, 8)).record
    assert json.loads((world.run / "commitment.json").read_text())["surrogate"] == said
    told = json.loads((world.run / "summary.json").read_text())["pretraining"]
    assert told["epochs"] == 1
    assert {key: told["stability"][key] for key in ("surrogate", "steps", "judged")} == {
        "surrogate": name,
        "steps": 3,
        "judged": 4 * 6,
    }
    assert told["stability"]["agreement"] > told["stability"]["agreement_start"]
    assert f"surrogate{name},3steps:" in "".join(done.out.split())  # however lines are broken
    assert not same(weights(plain), weights(world.run))
    assert "surrogate" not in manifest(plain)
    assert bbsmooth("verify", world.run).status == 0
    assert world.certify("--coordinator", world.run, out=world.folder / "certified").status == 0


@pytest.mark.usefixtures("eager")
def test_a_kill_while_it_learns_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name, whole = surrogate(world.folder), world.folder / "whole"
    given = ("--surrogate", name, "--budget", 300, "--method", "spsa-gc")
    assert tune(world, *given, "--out", whole).status == 0
    asked = world.asked

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bbsmooth.coordinator.stability._Task.losses", dies)
        assert tune(world, *given).status == 130
    assert world.asked == asked
    killed(world.run)
    before = (world.run / "pretrained.safetensors").read_bytes()
    assert tune(world, *given, "--resume").status == 0
    assert (world.run / "pretrained.safetensors").read_bytes() == before
    assert same(weights(world.run), weights(whole))
    killed(world.run)
    with monkeypatch.context() as patched:  # what was learnt is not learnt again
        patched.setattr("bbsmooth.coordinator.stability._Task.losses", dies)
        spent = world.asked
        assert tune(world, *given, "--resume").status == 0
        assert world.asked == spent
    assert same(weights(world.run), weights(whole))


@pytest.mark.usefixtures("eager")
def test_it_goes_on_with_the_same_surrogate_only(world: World) -> None:
    name = surrogate(world.folder)
    assert tune(world, "--surrogate", name).status == 0
    assert tune(world, "--surrogate", name, "--resume").status == 0
    assert "was begun with --surrogate timm" in tune(world, "--resume").line
    moved = surrogate(world.folder, name="moved")
    assert "was begun with --surrogate timm" in tune(world, "--resume", "--surrogate", moved).line
    surrogate(world.folder, seed=1)
    assert "the surrogate is not the one that" in tune(world, "--resume", "--surrogate", name).line
    surrogate(world.folder)
    (world.run / "stabilised.safetensors").write_bytes(b"")
    killed(world.run)
    damaged = tune(world, "--surrogate", name, "--resume")
    assert (damaged.status, "stabilised.safetensors" in damaged.line) == (2, True)


def test_a_run_that_knew_no_surrogates_goes_on_and_verifies(world: World) -> None:
    assert tune(world).status == 0
    said = manifest(world.run)
    del said["settings"]["surrogate"]
    fixed = json.loads((world.run / "commitment.json").read_text())
    del fixed["settings"]["surrogate"]
    raw = json.dumps(fixed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    (world.run / "commitment.json").write_bytes(raw)
    said["commitment"]["sha256"] = hashlib.sha256(raw).hexdigest()
    write_json(world.run / "manifest.json", said | {"hashes": run_hashes(world.run, said)})
    assert bbsmooth("verify", world.run).status == 0
    assert tune(world, "--resume").status == 0
    assert "surrogate" in manifest(world.run)["settings"]
    assert bbsmooth("verify", world.run).status == 0


@pytest.mark.usefixtures("eager")
def test_it_teaches_an_autoencoder_of_an_earlier_run(world: World) -> None:
    first = world.folder / "first"
    assert tune(world, "--out", first).status == 0
    assert tune(world, "--start", first, "--surrogate", surrogate(world.folder)).status == 0
    assert not same(weights(first), weights(world.run))


@pytest.mark.usefixtures("eager")
def test_grey_images_reach_a_classifier_for_colour(world: World) -> None:
    assert tune(world, "--surrogate", surrogate(world.folder, channels=3)).status == 0
    grey, colour = (
        Surrogate.named(surrogate(world.folder, channels=3), (channels, 8, 8)).on(torch.device("cpu"))
        for channels in (1, 3)
    )
    image = torch.rand(2, 1, 8, 8)
    assert torch.equal(grey(image), colour(image.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--surrogate", "local-vit"], "--surrogate local-vit takes images (1, 28, 28), these are (1, 8, 8)"),
        (["--surrogate", "resnet1"], "timm knows no architecture 'resnet1'"),
        (["--surrogate", "trained:nowhere"], "nowhere holds no trained model"),
        (["--surrogate", "local-vit", "--method", "blackvip"], "--method adds a prompt"),
        (["--surrogate", "local-vit", "--method", "zo-ae-ds-cge"], "--surrogate teaches a denoiser"),
        (["--surrogate", "local-vit", "--start", "natural"], "natural stays as it is"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_teach_is_refused_before_anything_is_begun(
    world: World, arguments: list[str], expected: str
) -> None:
    done = tune(world, "--budget", 600, *arguments)
    assert done.status == 2
    assert expected in done.line
    assert world.asked.total() == 0
    assert not world.run.exists()


@pytest.mark.usefixtures("eager")
def test_python_finds_the_same(world: World) -> None:
    name = surrogate(world.folder)
    assert tune(world, "--surrogate", name).status == 0
    held = np.load(world.folder / "images.npz")
    found = bb.tune(
        world.oracle(),
        held["x"][:, None],
        held["y"],
        noise=bb.Gaussian(sigma=0.25),
        budget=bb.Budget(queries=0),
        seed=0,
        surrogate=name,
        epochs=1,
        run=world.folder / "call",
    )
    assert same(weights(found.run), weights(world.run))
    assert manifest(found.run)["surrogate"] == manifest(world.run)["surrogate"]
