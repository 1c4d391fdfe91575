import pytest
import torch
from torch import Tensor

from bbsmooth.coordinator.network import Architecture, forward
from bbsmooth.coordinator.spaces import DecoderSpace, FilmSpace, Space
from bbsmooth.randomness import fork

ARCHITECTURE = Architecture.for_images((1, 8, 8))
SPACES: list[Space] = [FilmSpace(), DecoderSpace()]


@pytest.fixture
def weights() -> dict[str, Tensor]:
    weights = ARCHITECTURE.initial_weights(fork(0))
    for name in ARCHITECTURE.decoder_layers:
        weights[f"{name}.unit"] = torch.rand(ARCHITECTURE.layers[name].outputs, generator=fork(1, name))
    return weights


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_zero_stands_for_the_pretrained_weights(space: Space, weights: dict[str, Tensor]) -> None:
    tuned = space.weights(ARCHITECTURE, weights, torch.zeros(space.size(ARCHITECTURE)))
    assert all(torch.equal(tuned[name], weights[name]) for name in weights)


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_only_the_decoder_moves_and_the_pretrained_weights_stay(space: Space, weights: dict[str, Tensor]) -> None:
    before = {name: tensor.clone() for name, tensor in weights.items()}
    tuned = space.weights(ARCHITECTURE, weights, torch.randn(space.size(ARCHITECTURE), generator=fork(2)))
    for name, tensor in weights.items():
        assert torch.equal(tensor, before[name])
        moves = name.startswith("decoder.") and not name.endswith(".unit")
        assert torch.equal(tuned[name], tensor) != moves


def test_film_scales_and_shifts_what_a_layer_gives(weights: dict[str, Tensor]) -> None:
    space = FilmSpace()
    channels = ARCHITECTURE.layers["decoder.head"].outputs
    total = space.size(ARCHITECTURE) // 2
    parameters = torch.zeros(2 * total)
    parameters[total - channels : total] = 0.5
    parameters[-channels:] = 2.0
    images = torch.randn(4, 1, 8, 8, generator=fork(4))
    plain: dict[str, Tensor] = {}
    film: dict[str, Tensor] = {}
    forward(ARCHITECTURE, weights, images, taps=plain)
    forward(ARCHITECTURE, space.weights(ARCHITECTURE, weights, parameters), images, taps=film)
    unit = weights["decoder.head.unit"].view(1, -1, 1, 1)
    torch.testing.assert_close(film["decoder.head"], 1.5 * plain["decoder.head"] + 2 * unit)
    assert torch.equal(film["decoder.up0"], plain["decoder.up0"])


def test_decoder_parameters_count_in_root_mean_squares(weights: dict[str, Tensor]) -> None:
    space = DecoderSpace()
    parameters = torch.zeros(space.size(ARCHITECTURE))
    first = weights[f"{ARCHITECTURE.decoder_layers[0]}.weight"]
    parameters[0] = 1.0
    tuned = space.weights(ARCHITECTURE, weights, parameters)[f"{ARCHITECTURE.decoder_layers[0]}.weight"]
    change = (tuned - first).flatten()
    assert change[0].item() == pytest.approx(first.square().mean().sqrt().item(), rel=1e-5)
    assert change[1:].abs().max() == 0
