"""Published architectures: a file's tensors, by their public names, give what the published code computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from bbsmooth.coordinator.denoisers.opening import open_denoiser
from bbsmooth.errors import UsageError

SIGMA = 0.25


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def noisy(channels: int = 3, size: tuple[int, int] = (16, 24)) -> Tensor:
    return torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(0))


def denoised(folder: Path, tensors: dict[str, Tensor], images: Tensor, suffix: str = "safetensors") -> Tensor:
    path = folder / f"weights.{suffix}"
    if suffix == "safetensors":
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    with torch.inference_mode():
        return open_denoiser(str(path), device="cpu")(images, SIGMA)


def plain(channels: int, bias: bool = True, width: int = 6) -> nn.Sequential:
    """KAIR's DnCNN, whose batch normalisation was merged into its convolutions."""

    def layer(inputs: int, outputs: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)

    torch.manual_seed(1)
    return nn.Sequential(layer(channels, width), nn.ReLU(), layer(width, width), nn.ReLU(), layer(width, channels))


def under(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def conv_layers(layers: nn.Sequential) -> dict[str, Tensor]:
    return {f"conv_layers.{place}.weight": layers.state_dict()[f"{2 * place}.weight"] for place in range(3)}


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_dncnn_as_kair_names_it_takes_off_what_its_layers_say(suffix: str, tmp_path: Path) -> None:
    layers, images = plain(3), noisy()
    close(denoised(tmp_path, under("model", layers), images, suffix), images - layers(images))


def test_dncnn_with_batch_normalisation_as_denoised_smoothing_names_it(tmp_path: Path) -> None:
    torch.manual_seed(2)
    norm = nn.BatchNorm2d(6, eps=1e-4)
    layers = nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1, bias=False), norm, nn.ReLU()),
        nn.Conv2d(6, 3, 3, padding=1, bias=False),
    )
    for _ in range(5):
        layers(noisy())  # statistics that are not those of the start
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    layers.eval()
    tensors = under("module.dncnn", layers)  # as `nn.DataParallel` saves it
    close(denoised(tmp_path, tensors, noisy()), noisy() - layers(noisy()))


@pytest.mark.parametrize("gains", [None, "gammas.0", "gammas.0.weight"])
def test_bias_free_cnn_divides_by_the_spread_of_its_training(gains: str | None, tmp_path: Path) -> None:
    layers, spread = plain(3, bias=False), torch.rand(6) + 0.5
    factor = torch.rand(6) if gains else torch.ones(6)
    first, _, middle, _, last = layers
    tensors = conv_layers(layers)
    tensors |= {"running_sd.0": spread.view(1, 6, 1, 1)} | ({gains: factor} if gains else {})
    images = noisy()
    between = middle(F.relu(first(images))) / spread.view(1, 6, 1, 1) * factor.view(1, 6, 1, 1)
    close(denoised(tmp_path, tensors, images), images - last(F.relu(between)))


def test_bias_free_cnn_scales_with_its_input(tmp_path: Path) -> None:
    """Without a constant, k times the image is k times the output: that is why it knows every noise level."""
    layers = plain(3, bias=False)
    tensors = conv_layers(layers)
    tensors["running_sd.0"] = torch.full((1, 6, 1, 1), 2.0)
    once, thrice = denoised(tmp_path, tensors, noisy()), denoised(tmp_path, tensors, 3 * noisy())
    close(thrice, 3 * once)


def test_a_grey_network_takes_colour_by_the_channel(tmp_path: Path) -> None:
    layers, images = plain(1), noisy()
    expected = torch.cat([part - layers(part) for part in torch.split(images, 1, dim=1)], 1)
    close(denoised(tmp_path, under("model", layers), images), expected)


def test_a_colour_network_takes_grey_images_three_times_alike(tmp_path: Path) -> None:
    layers, images = plain(3), noisy(1)
    thrice = images.expand(-1, 3, -1, -1)
    expected = (thrice - layers(thrice)).mean(1, keepdim=True)
    close(denoised(tmp_path, under("model", layers), images), expected)


def bfcnn_without_spread() -> dict[str, Tensor]:
    return conv_layers(plain(3, bias=False))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (lambda: {"fc.weight": torch.zeros(2, 2)}, "none of the architectures dncnn, bias-free, drunet"),
        (bfcnn_without_spread, "no whole bias-free: running_sd.0 is missing"),
        (lambda: under("model", plain(3)[:-1]), "no whole dncnn: it takes 3 channels and gives 6"),
        (lambda: {"m_head.weight": torch.zeros(4, 4, 3, 3)}, "no whole drunet"),
        (lambda: under("model", nn.Sequential(plain(3)[0], plain(3)[0])), "inputs follows one of 6 outputs|gives 6"),
    ],
)
def test_weights_that_are_not_whole_are_refused_in_one_line(
    tensors: Callable[[], dict[str, Tensor]], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        denoised(tmp_path, tensors(), noisy())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"nothing of the kind", b"PK\x03\x04 half an archive"])
@pytest.mark.parametrize("name", ["d.safetensors", "d.pth"])
def test_damaged_files_are_refused_in_one_line(raw: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(UsageError, match="holds no weights that can be read") as caught:
        open_denoiser(str(tmp_path / name))
    assert "\n" not in str(caught.value)


class Runs:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return (exec, ("raise SystemError('ran')",))


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    torch.save({"model": Runs()}, tmp_path / "d.pth")
    with pytest.raises(UsageError, match="holds no weights that can be read: it holds more than weights") as caught:
        open_denoiser(str(tmp_path / "d.pth"))
    assert "weights_only" not in str(caught.value)


@pytest.mark.slow  # deepinv takes seconds to import
class TestDeepinv:
    """Against the classes that deepinv ships, without its weights."""

    def test_its_dncnn(self, tmp_path: Path) -> None:
        models = pytest.importorskip("deepinv.models")
        theirs = models.DnCNN(pretrained=None, in_channels=3, out_channels=3, depth=4, nf=8).eval()
        expected = theirs(noisy(), SIGMA)
        close(denoised(tmp_path, theirs.state_dict(), noisy()), expected)

    @pytest.mark.parametrize(("channels", "blocks"), [(1, 2), (3, 3)])
    def test_its_drunet(self, channels: int, blocks: int, tmp_path: Path) -> None:
        models = pytest.importorskip("deepinv.models")
        theirs = models.DRUNet(
            pretrained=None, in_channels=channels, out_channels=channels, nc=(4, 6, 8, 10), nb=blocks
        ).eval()
        images = noisy(channels, (32, 40))
        close(denoised(tmp_path, theirs.state_dict(), images), theirs(images, SIGMA))
        padded = denoised(tmp_path, theirs.state_dict(), images[..., :29, :35])
        assert padded.shape == (2, channels, 29, 35)

    def test_bias_free_normalisation(self, tmp_path: Path) -> None:
        """Mohan et al.: their layers in the order of their code, deepinv's copy of their normalisation between."""
        unet = pytest.importorskip("deepinv.models.unet")
        norm, layers = unet.BFBatchNorm2d(6), plain(3, bias=False)
        first, _, middle, _, last = layers
        for _ in range(3):
            norm(middle(F.relu(first(noisy()))))
        nn.init.uniform_(norm.weight)
        norm.eval()
        named = {"first_layer": first, "hidden_layer_list.0": middle, "bn_layer_list.0": norm, "last_layer": last}
        tensors = {key: tensor for name, module in named.items() for key, tensor in under(name, module).items()}
        expected = noisy() - last(F.relu(norm(middle(F.relu(first(noisy()))))))
        close(denoised(tmp_path, tensors, noisy()), expected)
