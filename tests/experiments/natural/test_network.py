"""The natural denoiser while it is trained, and as its file is read: they are one network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bbsmooth.coordinator import CleanedImage, ResidualUNet, Scaling, show
from bbsmooth.coordinator import natural as shipped
from bbsmooth.randomness import fork
from experiments.natural.network import MEAN, SPREAD, ConditionalUNet, pack, with_units

ARCHITECTURE = ResidualUNet.of_size("small", (3, 16, 16))
IMAGES = torch.rand(4, 3, 16, 16, generator=fork(7))


@pytest.fixture
def model() -> ConditionalUNet:
    """A network whose weights are nowhere zero."""
    model = ConditionalUNet(ARCHITECTURE, seed=0)
    with torch.no_grad():
        for number, tensor in enumerate(model.parameters()):
            tensor.add_(torch.randn(tensor.shape, generator=fork(1, number)), alpha=0.05)
    return model


@pytest.fixture
def _from_file(model: ConditionalUNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That network in the place of the one that ships."""
    with torch.inference_mode():
        content = pack(ARCHITECTURE, with_units(ARCHITECTURE, model.tensors(), IMAGES), "a test")
    (tmp_path / "natural-small.safetensors").write_bytes(content)
    monkeypatch.setattr(shipped, "_WEIGHTS", tmp_path)
    shipped._read.cache_clear()


def _cleaned(model: ConditionalUNet, noisy: torch.Tensor, sigma: float) -> torch.Tensor:
    """What the network that is trained makes of noisy colour images, clipped."""
    levels = torch.full((len(noisy),), sigma)
    scaling = Scaling(sigma=sigma, mean=MEAN, spread=SPREAD)
    with torch.inference_mode():
        return CleanedImage().apply(lambda inputs: model(inputs, levels), noisy, scaling).clamp(0, 1)


@pytest.mark.usefixtures("_from_file")
@pytest.mark.parametrize("sigma", [0.04, 0.13, 0.25, 0.7, 1.1])
def test_the_file_folds_into_the_network_that_was_trained(model: ConditionalUNet, sigma: float) -> None:
    made = shipped.natural((3, 16, 16), sigma, size="small")
    noisy = IMAGES + sigma * torch.randn(IMAGES.shape, generator=fork(2))
    with torch.inference_mode():
        found = show(made, noisy, made.initial_parameters())
    torch.testing.assert_close(found, _cleaned(model, noisy, sigma), atol=2e-3, rtol=0)  # the file has half precision
    assert found.std() > 0.1


@pytest.mark.usefixtures("_from_file")
def test_grey_images_are_colour_images_of_three_equal_channels(model: ConditionalUNet) -> None:
    made = shipped.natural((1, 16, 16), 0.25, size="small")
    grey = IMAGES[:, :1] + 0.25 * torch.randn(4, 1, 16, 16, generator=fork(3))
    levels = torch.full((4,), 0.25)
    scaling = Scaling(sigma=0.25, mean=MEAN, spread=SPREAD)
    with torch.inference_mode():
        colour = CleanedImage().apply(lambda inputs: model(inputs, levels), grey.expand(-1, 3, -1, -1), scaling)
        found = show(made, grey, made.initial_parameters())
    torch.testing.assert_close(found, colour.mean(1, keepdim=True).clamp(0, 1), atol=2e-3, rtol=0)


@pytest.mark.usefixtures("_from_file")
def test_units_are_those_of_the_level_and_lie_between_its_neighbours() -> None:
    levels = (0.12, 0.15, 0.2)
    low, between, high = (shipped.natural((3, 16, 16), sigma, size="small").weights for sigma in levels)
    for name in low:
        if name.endswith((".unit", ".units")):
            least, most = torch.minimum(low[name], high[name]), torch.maximum(low[name], high[name])
            assert ((least <= between[name]) & (between[name] <= most)).all(), name
            assert (least > 0).all()
