"""Coordinators on another device. Fake tensors know where they are, so that no GPU is needed to see what would mix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from bbsmooth.coordinator import (
    AddedPrompt,
    Architecture,
    Autoencoder,
    CleanedImage,
    DecoderSpace,
    EqualiserSpace,
    FilmSpace,
    FoldedUNet,
    Form,
    LowRankSpace,
    PatternSpace,
    PretrainPlan,
    ResidualUNet,
    Scaling,
    Space,
    SubspaceSpace,
    TriggerSpace,
    pretrain,
    show,
)
from bbsmooth.coordinator import equaliser as equalising
from bbsmooth.coordinator.equaliser import SETTINGS, UNITS, units_of
from bbsmooth.noise import Gaussian, on_device
from bbsmooth.randomness import fork

CUDA = torch.device("cuda", 0)
SHAPE = (3, 16, 16)
SPACES = [
    FilmSpace(),
    DecoderSpace(),
    TriggerSpace(),
    LowRankSpace(2),
    SubspaceSpace(5),
    EqualiserSpace(FilmSpace()),
    PatternSpace(3),
]
NETWORKS: list[Architecture] = [
    FoldedUNet.for_images(SHAPE),
    ResidualUNet(image_shape=SHAPE, widths=(4, 8), encoder_blocks=(1, 1), decoder_blocks=(1, 1)),
]


def autoencoder(space: Space, form: Form, architecture: Architecture = NETWORKS[0]) -> Autoencoder:
    weights = architecture.initial_weights(fork(1))
    weights |= {f"{name}.unit": torch.ones(architecture.layers[name].outputs) for name in architecture.decoder_layers}
    weights |= {UNITS: torch.ones(SETTINGS)}
    scaling = Scaling(sigma=0.25, mean=0.5, spread=0.2)
    return Autoencoder(architecture=architecture, scaling=scaling, form=form, space=space, weights=weights)


@contextmanager
def elsewhere() -> Iterator[None]:
    """A block whose tensors are fake, and may be on a device that is not there."""
    equalising._transform.cache_clear()  # it would keep fake ones
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield
    equalising._transform.cache_clear()


@pytest.mark.parametrize("form", [CleanedImage(), AddedPrompt(0.5)], ids=repr)
@pytest.mark.parametrize("network", NETWORKS, ids=["folded", "residual"])
@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_all_of_it_computes_on_the_device_and_its_images_come_back(
    space: Space, network: Architecture, form: Form
) -> None:
    real = autoencoder(space, form, network)
    with elsewhere():
        placed = real.on(CUDA)
        assert placed.device == CUDA
        parameters = placed.initial_parameters()
        for home in (CUDA, torch.device("cpu")):
            shown = show(placed, torch.zeros(2, *SHAPE, device=home), parameters)
            assert (shown.device, tuple(shown.shape)) == (home, (2, *SHAPE))


def test_units_of_an_equaliser_are_measured_on_the_device() -> None:
    with elsewhere():
        images = torch.zeros(2, *SHAPE, device=CUDA)
        assert units_of(images, images).device == CUDA


def test_it_is_the_same_coordinator_wherever_it_computes() -> None:
    one = autoencoder(FilmSpace(), CleanedImage())
    other = one.on(torch.device("cpu"))
    assert other.fingerprint == one.fingerprint
    images = torch.rand(2, *SHAPE, generator=fork(2))
    assert torch.equal(show(other, images, other.initial_parameters()), show(one, images, one.initial_parameters()))


def test_pre_training_on_a_device_learns_as_much(digits: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def error() -> float:
        losses: list[float] = []
        pretrain(
            digits[:400],
            noise=Gaussian(0.5),
            form=CleanedImage(),
            space=FilmSpace(),
            plan=PretrainPlan(epochs=4, learning_rate=1e-2),
            seed=0,
            progress=lambda epoch, loss: losses.append(loss),
        )
        return losses[-1]

    here = error()
    monkeypatch.setattr(on_device, "BY_NUMPY", frozenset())  # the processor stands for another device
    there = error()
    assert there != here  # its noise is drawn where it trains
    assert there == pytest.approx(here, rel=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_images_are_those_of_the_processor_but_for_rounding() -> None:
    one = autoencoder(EqualiserSpace(FilmSpace()), CleanedImage())
    images, parameters = torch.rand(9, *SHAPE, generator=fork(2)), one.initial_parameters() + 0.1
    there = show(one.on(torch.device("cuda")), images, parameters)
    assert torch.allclose(there, show(one, images, parameters), atol=1e-3)
