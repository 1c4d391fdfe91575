import dataclasses

import pytest
import torch

from bbsmooth.coordinator import Autoencoder, DecoderSpace, show
from bbsmooth.randomness import fork


def test_probing_leaves_the_coordinator_untouched(trained: Autoencoder) -> None:
    images = torch.randn(5, 1, 8, 8, generator=fork(0))
    start = trained.initial_parameters()
    before = show(trained, images, start)
    weights = {name: tensor.clone() for name, tensor in trained.weights.items()}
    assert not torch.equal(show(trained, images, start + 0.3), before)
    assert torch.equal(show(trained, images, start), before)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in trained.weights.items())


def test_shown_images_lie_in_the_pixel_range(trained: Autoencoder) -> None:
    shown = show(trained, 100 * torch.randn(5, 1, 8, 8, generator=fork(0)), trained.initial_parameters())
    assert shown.min() >= 0
    assert shown.max() <= 1
    assert shown.dtype == torch.float32


def test_show_can_be_differentiated_in_the_parameters(trained: Autoencoder) -> None:
    # Against central differences along one direction; pixels at the border of [0, 1] have no slope in either.
    images = torch.rand(8, 1, 8, 8, generator=fork(1))
    start = trained.initial_parameters()
    direction = torch.randn(start.shape, generator=fork(2))
    parameters = start.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(show(trained, images, parameters).sum(), parameters)
    above, below = (show(trained, images, start + step * direction).double().sum() for step in (1e-3, -1e-3))
    assert (gradient @ direction).item() == pytest.approx((above - below).item() / 2e-3, rel=0.02)


def test_fingerprint_changes_with_every_part(trained: Autoencoder) -> None:
    weights = {name: tensor.clone() for name, tensor in trained.weights.items()}
    weights["encoder.stem.bias"][0] += 1e-6
    scaling = dataclasses.replace(trained.scaling, sigma=0.51)
    variants = [
        dataclasses.replace(trained, weights=weights),
        dataclasses.replace(trained, scaling=scaling),
        dataclasses.replace(trained, space=DecoderSpace()),
    ]
    assert len({trained.fingerprint, *(variant.fingerprint for variant in variants)}) == 4
    assert dataclasses.replace(trained).fingerprint == trained.fingerprint


def test_weights_of_another_network_are_refused(trained: Autoencoder) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        dataclasses.replace(trained, weights={})
