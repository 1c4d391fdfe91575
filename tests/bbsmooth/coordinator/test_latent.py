import dataclasses

import pytest
import torch
from torch import Tensor

from bbsmooth.coordinator import Autoencoder, CleanedImage, FilmSpace, PretrainPlan, pretrain, show
from bbsmooth.coordinator.latent import Bottleneck, LatentCoordinator, train_bottleneck
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import fork

BOTTLENECK = Bottleneck(image_shape=(1, 8, 8), channels=3, hidden=8)


def gradients(generator: torch.Generator) -> Tensor:
    """Smooth pictures: a slope in each direction and a brightness."""
    rows, columns, light = torch.rand(3, 16, 1, 1, 1, generator=generator)
    ramp = torch.linspace(-0.5, 0.5, 8)
    found: Tensor = (0.5 + (rows - 0.5) * ramp.view(1, 1, 8, 1) + (columns - 0.5) * ramp + 0.3 * (light - 0.5)).clamp(
        0, 1
    )
    return found


@pytest.fixture(scope="module")
def trained() -> Autoencoder:
    """Any denoiser will do: one epoch on smooth pictures."""
    return pretrain(
        (gradients(fork(0)) * 255).to(torch.uint8),
        noise=Gaussian(0.5),
        form=CleanedImage(),
        space=FilmSpace(),
        plan=PretrainPlan(epochs=1),
        seed=0,
    )


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return train_bottleneck(BOTTLENECK, gradients, steps=300, learning_rate=5e-3, seed=0)


def test_it_learns_to_give_images_back(weights: dict[str, Tensor]) -> None:
    images = gradients(fork(1))
    back = BOTTLENECK.decode(weights, BOTTLENECK.encode(weights, images))
    assert BOTTLENECK.encode(weights, images).shape == (16, 3, 2, 2)
    assert (back - images).square().mean() < 0.1 * (images - images.mean()).square().mean()
    assert not any(weight.requires_grad for weight in weights.values())


def test_the_cut_lies_at_the_latent(trained: Autoencoder, weights: dict[str, Tensor]) -> None:
    coordinator = LatentCoordinator(denoiser=trained, bottleneck=BOTTLENECK, weights=weights)
    noisy, start = torch.randn(5, 1, 8, 8, generator=fork(2)), coordinator.initial_parameters()
    latents = coordinator.propose(noisy, start)
    assert torch.equal(latents, BOTTLENECK.encode(weights, show(trained, noisy, start)))
    shown = coordinator.render(latents)
    assert torch.equal(shown, BOTTLENECK.decode(weights, latents).clamp(0, 1))
    assert coordinator.image_shape == (1, 8, 8)
    assert coordinator.sigma == trained.sigma


def test_the_chain_rule_goes_through_encoder_and_denoiser(trained: Autoencoder, weights: dict[str, Tensor]) -> None:
    coordinator = LatentCoordinator(denoiser=trained, bottleneck=BOTTLENECK, weights=weights)
    noisy = torch.rand(5, 1, 8, 8, generator=fork(2))
    start = coordinator.initial_parameters()
    direction = torch.randn(start.shape, generator=fork(3))
    parameters = start.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(coordinator.propose(noisy, parameters).sum(), parameters)
    above, below = (coordinator.propose(noisy, start + step * direction).double().sum() for step in (1e-3, -1e-3))
    assert (gradient @ direction).item() == pytest.approx((above - below).item() / 2e-3, rel=0.03)


def test_fingerprint_changes_with_every_part(trained: Autoencoder, weights: dict[str, Tensor]) -> None:
    one = LatentCoordinator(denoiser=trained, bottleneck=BOTTLENECK, weights=weights)
    changed = weights | {"out.bias": weights["out.bias"] + 1e-6}
    other = dataclasses.replace(one, weights=changed)
    assert one.fingerprint != other.fingerprint
    assert dataclasses.replace(one).fingerprint == one.fingerprint


@pytest.mark.parametrize("changed", [{"image_shape": (1, 8, 6)}, {"channels": 0}], ids=str)
def test_what_cannot_be_built_is_refused(changed: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        dataclasses.replace(BOTTLENECK, **changed)  # type: ignore[arg-type]
