import pytest
import torch
from torch import Tensor

from bbsmooth.coordinator import (
    DecoderSpace,
    EqualiserSpace,
    FilmSpace,
    LowRankSpace,
    Space,
    SubspaceSpace,
    TriggerSpace,
)
from bbsmooth.coordinator.equaliser import SETTINGS, UNITS
from bbsmooth.coordinator.network import TRIGGER, FoldedUNet
from bbsmooth.randomness import fork

ARCHITECTURE = FoldedUNet.for_images((1, 8, 8))
SPACES: list[Space] = [
    FilmSpace(),
    DecoderSpace(),
    TriggerSpace(),
    LowRankSpace(3),
    SubspaceSpace(40),
    EqualiserSpace(FilmSpace()),
]


@pytest.fixture
def weights() -> dict[str, Tensor]:
    weights = ARCHITECTURE.initial_weights(fork(0))
    for name in ARCHITECTURE.decoder_layers:
        weights[f"{name}.unit"] = torch.rand(ARCHITECTURE.layers[name].outputs, generator=fork(1, name))
    weights[UNITS] = torch.ones(SETTINGS)
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
        assert name.startswith("decoder.") or torch.equal(tuned[name], tensor)
    assert any(not torch.equal(tuned[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_every_parameter_matters_where_tuning_goes(space: Space, weights: dict[str, Tensor]) -> None:
    # At zero the second factor of a low rank has no slope yet; a little beyond it all have.
    images = torch.randn(16, 1, 8, 8, generator=fork(4))
    parameters = (0.1 * torch.randn(space.size(ARCHITECTURE), generator=fork(2))).requires_grad_(True)
    shown = ARCHITECTURE.forward(space.weights(ARCHITECTURE, weights, parameters), images)
    (gradient,) = torch.autograd.grad(shown.square().sum(), parameters)
    assert (gradient != 0).float().mean() > 0.8  # the rest belongs to channels that are never on


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
    ARCHITECTURE.forward(weights, images, taps=plain)
    ARCHITECTURE.forward(space.weights(ARCHITECTURE, weights, parameters), images, taps=film)
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


def test_a_trigger_is_added_to_the_coarsest_features(weights: dict[str, Tensor]) -> None:
    space, shape = TriggerSpace(), ARCHITECTURE.coarsest
    parameters = torch.zeros(space.size(ARCHITECTURE))
    parameters[-1] = 2.0
    tuned = space.weights(ARCHITECTURE, weights, parameters)
    assert tuned[TRIGGER].shape == shape
    images = torch.randn(4, 1, 8, 8, generator=fork(4))
    plain: dict[str, Tensor] = {}
    moved: dict[str, Tensor] = {}
    ARCHITECTURE.forward(weights, images, taps=plain)
    ARCHITECTURE.forward(tuned, images, taps=moved)
    first = ARCHITECTURE.decoder_layers[0]
    change = moved[first] - plain[first]
    torch.testing.assert_close(change[:, :, -1, -1], 2 * weights[f"{first}.weight"][None, :, -1, 0, 0].expand(4, -1))
    assert change[:, :, 0, 0].abs().max() == 0


def test_a_change_of_low_rank_has_that_rank(weights: dict[str, Tensor]) -> None:
    space = LowRankSpace(3)
    tuned = space.weights(ARCHITECTURE, weights, torch.randn(space.size(ARCHITECTURE), generator=fork(2)))
    name = "decoder.mix0.weight"
    assert torch.linalg.matrix_rank((tuned[name] - weights[name]).flatten(1), rtol=1e-4) == 3


def test_a_subspace_is_linear_and_its_axes_are_orthogonal(weights: dict[str, Tensor]) -> None:
    space = SubspaceSpace(4)

    def change(parameters: Tensor) -> Tensor:
        tuned = space.weights(ARCHITECTURE, weights, parameters)
        return torch.cat(
            [
                (tuned[name] - tensor).flatten() / tensor.square().mean().sqrt().clamp(min=1e-3)
                for name, tensor in weights.items()
                if name.startswith("decoder.") and not name.endswith(".unit")
            ]
        )

    axes = torch.stack([change(axis) for axis in torch.eye(4)])
    gram = axes @ axes.T
    torch.testing.assert_close(gram, gram.diagonal().diag(), atol=1e-2, rtol=0)
    torch.testing.assert_close(
        change(torch.tensor([1.0, -2.0, 0.5, 3.0])), torch.tensor([1.0, -2.0, 0.5, 3.0]) @ axes, atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("kind", [LowRankSpace, SubspaceSpace])
def test_a_space_of_nothing_is_refused(kind: type[LowRankSpace] | type[SubspaceSpace]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        kind(0)
