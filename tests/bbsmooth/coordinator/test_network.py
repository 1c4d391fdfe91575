import pytest
import torch

from bbsmooth.coordinator.network import FoldedUNet
from bbsmooth.randomness import fork

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 9, 13), (3, 64, 48), (3, 224, 224)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_output_has_the_shape_of_the_input(shape: tuple[int, int, int]) -> None:
    architecture = FoldedUNet.for_images(shape)
    weights = architecture.initial_weights(fork(0))
    assert architecture.forward(weights, torch.zeros(2, *shape)).shape == (2, *shape)


def test_every_level_sees_the_whole_of_a_digit() -> None:
    assert FoldedUNet.for_images((1, 28, 28)) == FoldedUNet(
        image_shape=(1, 28, 28), unshuffle=2, widths=(12, 24, 32, 32)
    )
    assert FoldedUNet.for_images((1, 8, 8)).widths == (12, 24, 32)
    assert FoldedUNet.for_images((3, 224, 224)).unshuffle == 8


def test_padding_keeps_the_image_in_place() -> None:
    # A network whose only live weights copy its input: stem -> skip -> head, each an identity at the kernel's centre.
    architecture = FoldedUNet(image_shape=(1, 9, 11), unshuffle=1, widths=(1, 1))
    weights = {name: torch.zeros_like(tensor) for name, tensor in architecture.initial_weights(fork(0)).items()}
    weights["encoder.stem.weight"][0, 0, 1, 1] = 1
    weights["decoder.head.weight"][0, 0, 1, 1] = 1
    images = torch.rand(2, 1, 9, 11, generator=fork(1))
    assert torch.equal(architecture.forward(weights, images), images)


def test_initial_weights_follow_from_the_generator_alone() -> None:
    architecture = FoldedUNet.for_images((1, 8, 8))
    torch.manual_seed(1)
    once = architecture.initial_weights(fork(3))
    torch.manual_seed(2)
    again = architecture.initial_weights(fork(3))
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_taps_are_the_outputs_of_the_decoder() -> None:
    architecture = FoldedUNet.for_images((1, 8, 8))
    taps: dict[str, torch.Tensor] = {}
    architecture.forward(architecture.initial_weights(fork(0)), torch.zeros(3, 1, 8, 8), taps=taps)
    assert set(taps) == set(architecture.decoder_layers)
    assert all(taps[name].shape[:2] == (3, architecture.layers[name].outputs) for name in taps)


@pytest.mark.parametrize("shape", [(1, 7, 28), (0, 28, 28)], ids=str)
def test_images_too_small_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least 8 x 8"):
        FoldedUNet.for_images(shape)
