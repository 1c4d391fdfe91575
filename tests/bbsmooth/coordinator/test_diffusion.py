"""One-step denoising by a diffusion model: against closed forms, and as a front of an oracle on the command line."""

from __future__ import annotations

import importlib
import json
import math
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bbsmooth.coordinator import show
from bbsmooth.coordinator.diffusion import DiffusionDenoiser, diffusion_digest, load_diffusion, matching_timestep
from bbsmooth.errors import UsageError
from tests.bbsmooth.cli.world import bbsmooth

BETA = 0.02
CONSTANT = torch.tensor(1 - BETA, dtype=torch.float64) ** torch.arange(1, 201)
SHAPE = (1, 28, 28)


class Optimal(nn.Module):
    """What the best network predicts where images in [-1, 1] are N(0, spread^2), pixel by pixel."""

    def __init__(self, prediction: str, spread: float) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.prediction, self.spread = prediction, spread

    def forward(self, noisy: Tensor, timestep: int) -> SimpleNamespace:
        product = float(CONSTANT[timestep])
        variance = product * self.spread**2 + 1 - product
        clean = product**0.5 * self.spread**2 / variance * noisy
        noise = (1 - product) ** 0.5 / variance * noisy
        velocity = product**0.5 * noise - (1 - product) ** 0.5 * clean
        said = {"epsilon": noise, "sample": clean, "v_prediction": velocity}[self.prediction]
        return SimpleNamespace(sample=torch.cat([said, torch.ones_like(said)], 1))  # with a variance, which is dropped


def optimal(prediction: str, sigma: float, spread: float) -> DiffusionDenoiser:
    network = Optimal(prediction, spread)
    return DiffusionDenoiser(
        network=network, products=CONSTANT, prediction=prediction, image_shape=(1, 4, 4), sigma=sigma
    )


@pytest.mark.parametrize("sigma", [0.1, 0.12, 0.25, 0.5, 1.0])
def test_the_timestep_is_that_of_the_closed_form(sigma: float) -> None:
    """(1 - a) / a = (2 sigma)^2 with a = (1 - beta)^(t + 1) at t = -ln(1 + 4 sigma^2) / ln(1 - beta) - 1."""
    exact = -math.log(1 + 4 * sigma**2) / math.log(1 - BETA) - 1

    assert abs(matching_timestep(CONSTANT, sigma) - exact) <= 0.51


@pytest.mark.parametrize("sigma", [0.01, 5.0])
def test_noise_that_the_model_does_not_know_is_refused(sigma: float) -> None:
    with pytest.raises(UsageError, match="sigma 0.0714 to 3.74"):
        matching_timestep(CONSTANT, sigma)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_estimate_is_the_posterior_mean_where_images_are_gaussian(prediction: str) -> None:
    """Pixels N(1/2, tau^2) seen under N(0, sigma^2) have the mean 1/2 + tau^2 / (tau^2 + sigma^2) (y - 1/2)."""
    tau, product = 0.3, float(CONSTANT[60])
    sigma = math.sqrt((1 - product) / product) / 2
    denoiser = optimal(prediction, sigma, spread=2 * tau)
    seen = 0.5 + torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))

    assert denoiser.timestep == 60
    expected = 0.5 + tau**2 / (tau**2 + sigma**2) * (seen - 0.5)
    torch.testing.assert_close(denoiser.propose(seen, denoiser.initial_parameters()), expected)
    torch.testing.assert_close(show(denoiser, seen, torch.zeros(0)), expected.clamp(0, 1))


def test_the_fingerprint_tells_noise_levels_and_predictions_apart() -> None:
    every = [optimal("epsilon", 0.25, 1.0), optimal("epsilon", 0.5, 1.0), optimal("sample", 0.25, 1.0)]

    assert len({denoiser.fingerprint for denoiser in every}) == 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model as diffusers saves it."""
    diffusers: Any = pytest.importorskip("diffusers", reason="needs the extra `diffusion`", exc_type=ImportError)
    folder = tmp_path_factory.mktemp("diffusion")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = diffusers.UNet2DModel(
            sample_size=28,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
        )
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    shutil.copytree(model, tmp_path / "model")
    return tmp_path / "model"


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_saved_model_is_the_network_at_its_timestep(model: Path) -> None:
    diffusers: Any = importlib.import_module("diffusers")
    denoiser = load_diffusion(model, 0.25, device="cpu")
    unet = diffusers.UNet2DModel.from_pretrained(model / "unet").eval()
    images = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    product = float((1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)[denoiser.timestep])
    noisy = product**0.5 * (2 * images - 1)
    with torch.no_grad():
        noise = unet(noisy, denoiser.timestep).sample
    expected = ((noisy - (1 - product) ** 0.5 * noise) / product**0.5 + 1) / 2

    assert denoiser.image_shape == SHAPE
    assert math.sqrt((1 - product) / product) == pytest.approx(0.5, rel=0.01)
    torch.testing.assert_close(denoiser.propose(images, torch.zeros(0)), expected, rtol=1e-4, atol=1e-4)


def test_files_side_by_side_are_the_same_model(model: Path, tmp_path: Path) -> None:
    for file in model.rglob("*"):
        if file.is_file():
            shutil.copy(file, tmp_path / file.name)

    assert diffusion_digest(tmp_path) == diffusion_digest(model)
    assert load_diffusion(tmp_path, 0.5).fingerprint == load_diffusion(model, 0.5).fingerprint


@pytest.mark.parametrize(
    ("file", "values", "expected"),
    [
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "describes a UNet2DConditionModel"),
        ("unet/config.json", {"sample_size": None}, "images of size None"),
        ("unet/config.json", {"num_class_embeds": 10}, "wants to be told a class"),
        ("unet/config.json", {"block_out_channels": [8, 16, 32]}, "diffusers cannot read the model"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "needs one of epsilon, sample, v_prediction"),
    ],
)
def test_other_models_are_refused_in_one_line(file: str, values: dict[str, object], expected: str, copy: Path) -> None:
    change(copy / file, **values)
    with pytest.raises(UsageError, match=expected) as caught:
        load_diffusion(copy, 0.25)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["scheduler/scheduler_config.json", "unet/diffusion_pytorch_model.safetensors"])
def test_what_is_missing_is_named(file: str, copy: Path) -> None:
    (copy / file).unlink()
    with pytest.raises(UsageError, match=f"{Path(file).name} is missing; save it with save_pretrained"):
        load_diffusion(copy, 0.25)


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (["conv_in.weight"], "lacks conv_in.weight; save the whole model with save_pretrained"),
        (["conv_in.weight", "conv_in.bias"], "lacks conv_in.bias and 1 more tensors; save"),
    ],
)
def test_a_tensor_that_the_weights_lack_is_named(gone: list[str], words: str, copy: Path) -> None:
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if name not in gone}, file)
    with pytest.raises(UsageError, match=words) as caught:
        load_diffusion(copy, 0.25)
    assert "\n" not in str(caught.value)


def test_without_the_library_its_extra_is_named(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UsageError, match=r"pip install 'bbsmooth\[diffusion\]'"):
        load_diffusion(copy, 0.25)


def certify(folder: Path, out: Path, *arguments: object) -> Any:
    subject = ("--oracle", "local-vit", "--data", "mnist5k", "--limit", 2, "--n0", 5, "--n", 20)
    return bbsmooth("certify", *subject, "--coordinator", folder, "--sigma", 0.25, "--out", out, *arguments)


def test_it_stands_before_any_oracle(copy: Path, tmp_path: Path) -> None:
    done = certify(copy, tmp_path / "run")
    assert (done.status, done.err) == (0, "")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["coordinator"] == {"fingerprint": diffusion_digest(copy)}
    assert bbsmooth("verify", tmp_path / "run").status == 0
    attacked = bbsmooth("attack", tmp_path / "run", "--limit", 1, "--steps", 1, "--draws", 2, "--out", tmp_path / "a")
    assert attacked.status == 0

    change(copy / "scheduler" / "scheduler_config.json", beta_end=0.03)
    assert certify(copy, tmp_path / "run", "--resume").status == 2


def test_a_folder_of_something_else_and_other_images_are_refused(copy: Path, tmp_path: Path) -> None:
    assert "or of a diffusers model" in certify(tmp_path, tmp_path / "run").line
    change(copy / "unet" / "config.json", sample_size=32)
    assert (
        "is a coordinator for images (1, 32, 32), the oracle takes (1, 28, 28)"
        in certify(copy, tmp_path / "other").line
    )
    change(copy / "unet" / "config.json", sample_size=28)
    tuned = bbsmooth(
        *("tune", "--oracle", "local-vit", "--data", "mnist5k", "--sigma", 0.25, "--budget", 5000),
        *("--start", copy, "--out", tmp_path / "tuned"),
    )
    assert "is a diffusion model, in which nothing is tuned" in tuned.line
