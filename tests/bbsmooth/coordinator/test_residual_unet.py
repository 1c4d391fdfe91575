"""The residual U-Net: shapes, what it costs, and that an image is cleaned alike in any company."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from bbsmooth.coordinator import Autoencoder, CleanedImage, FilmSpace, ResidualUNet, Scaling, load, save
from bbsmooth.coordinator.residual_unet import SIZES
from bbsmooth.randomness import fork

TINY = ResidualUNet(image_shape=(3, 12, 20), widths=(4, 8), encoder_blocks=(0, 1), decoder_blocks=(1, 0))


def _random(architecture: ResidualUNet) -> dict[str, torch.Tensor]:
    """Weights that are nowhere zero."""
    weights = architecture.initial_weights(fork(0))
    return {name: tensor + 0.1 * torch.randn(tensor.shape, generator=fork(1, name)) for name, tensor in weights.items()}


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (3, 9, 31), (2, 40, 17)])
@pytest.mark.parametrize("size", SIZES)
def test_any_size_of_image_keeps_its_shape(size: str, shape: tuple[int, int, int]) -> None:
    architecture = ResidualUNet.of_size(size, shape)
    weights = architecture.initial_weights(fork(0))
    assert {name.rpartition(".")[0] for name in weights} == set(architecture.layers)
    assert architecture.forward(weights, torch.zeros(2, *shape)).shape == (2, *shape)


@pytest.mark.parametrize(("size", "millions"), [("small", 6.0), ("base", 31.2), ("large", 128.8)])
def test_the_multiplications_of_a_colour_image_of_32_pixels(size: str, millions: float) -> None:
    architecture = ResidualUNet.of_size(size, (3, 32, 32))
    weights, count = architecture.initial_weights(fork(0)), 0
    original = F.conv2d

    def counting(features: torch.Tensor, weight: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        nonlocal count
        out = original(features, weight, *rest, **options)
        count += out.numel() * weight[0].numel()
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "conv2d", counting)
        architecture.forward(weights, torch.zeros(1, 3, 32, 32))
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


def test_a_block_adds_to_what_comes_in() -> None:
    features = torch.rand(2, 3, 8, 8, generator=fork(0))
    only = ResidualUNet(image_shape=(3, 8, 8), widths=(3,), encoder_blocks=(1,), decoder_blocks=(0,))
    identity = torch.zeros(3, 3, 3, 3)
    identity[range(3), range(3), 1, 1] = 1
    weights = {f"{name}.weight": identity for name in only.layers} | {
        f"{name}.bias": torch.zeros(3) for name in only.layers
    }
    assert torch.allclose(only.forward(weights, features), 2 * features)


def test_an_image_is_cleaned_alike_wherever_it_stands_in_a_full_batch() -> None:
    architecture = ResidualUNet.of_size("small", (3, 96, 96))  # 7 would fit into a pass, so 4 go together
    weights, images = _random(architecture), torch.rand(64, 3, 96, 96, generator=fork(2))
    with torch.inference_mode():
        straight, reverse = (architecture.forward(weights, batch) for batch in (images, images.flip(0)))
    assert torch.equal(straight, reverse.flip(0))


def test_gradients_see_the_same_network() -> None:
    weights, images = _random(TINY), torch.rand(5, *TINY.image_shape, generator=fork(3))
    with torch.inference_mode():
        without = TINY.forward(weights, images)
    assert torch.allclose(TINY.forward(weights, images), without, atol=1e-6)


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    weights = _random(TINY) | {f"{name}.unit": torch.ones(TINY.layers[name].outputs) for name in TINY.decoder_layers}
    scaling = Scaling(sigma=0.25, mean=0.5, spread=0.2)
    made = Autoencoder(architecture=TINY, scaling=scaling, form=CleanedImage(), space=FilmSpace(), weights=weights)
    save(tmp_path / "file", made, made.initial_parameters())
    again, _ = load(tmp_path / "file")
    assert isinstance(again, Autoencoder)
    assert again.architecture == TINY
    assert again.fingerprint == made.fingerprint


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_shape": (3, 7, 32)},
        {"widths": (4,)},
        {"widths": (4, 0)},
        {"encoder_blocks": (0, -1)},
    ],
)
def test_what_fits_no_network_is_refused(wrong: dict[str, tuple[int, ...]]) -> None:
    settings = {"image_shape": (3, 32, 32), "widths": (4, 8), "encoder_blocks": (0, 1), "decoder_blocks": (1, 0)}
    with pytest.raises(ValueError, match=r"8 x 8|positive|both ways"):
        ResidualUNet(**(settings | wrong))  # type: ignore[arg-type]


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(ValueError, match="small, base, large, got 'huge'"):
        ResidualUNet.of_size("huge", (3, 32, 32))
