from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.noise import Gaussian
from bbsmooth.whitebox.adaptation import count_parameters
from bbsmooth.whitebox.denoising import Denoised, DenoiserAdaptation, DenoisingLoss, DnCnn, SmallUnet
from bbsmooth.whitebox.noising import Noising
from tests.bbsmooth.whitebox.models import build

IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def noising() -> Noising:
    return Noising(Gaussian(0.3), torch.Generator().manual_seed(3))


def halved(images: Tensor) -> Tensor:
    return images / 2


def classifier(images: Tensor) -> Tensor:
    return images.flatten(1)[:, :3]


class Shrink(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return 0.9 * images


def loss(trained: float, *, stability: float = 0.25) -> Tensor:
    objective = DenoisingLoss(
        denoiser=Shrink(),
        normalised=halved,
        classifiers=(classifier, lambda one: -one.flatten(1)[:, :3]),
        stability=stability,
    )
    return objective.loss(classifier, IMAGES, torch.zeros(6, dtype=torch.int64), noising(), trained=trained)


def test_first_comes_the_squared_error_then_stability() -> None:
    denoised = 0.9 * halved(IMAGES + noising().like(IMAGES))
    squared = (denoised - halved(IMAGES)).square().mean()
    said = halved(IMAGES).flatten(1)[:, :3]
    cleaned = denoised.flatten(1)[:, :3]
    stable = (F.cross_entropy(cleaned, said.argmax(1)) + F.cross_entropy(-cleaned, said.argmin(1))) / 2

    torch.testing.assert_close(loss(0.7), squared)
    torch.testing.assert_close(loss(0.75), stable)
    torch.testing.assert_close(loss(0.99, stability=0.0), squared)


def test_a_dncnn_has_as_many_weights_as_counted_by_hand() -> None:
    middle = 3 * (5 * 5 * 9 + 2 * 5)

    assert count_parameters(DnCnn(1, 5, 5), trained=False) == (5 * 9 + 5) + middle + (5 * 9 + 1)


@pytest.mark.parametrize("size", [(8, 8), (7, 13), (28, 28)])
@pytest.mark.parametrize("network", [DnCnn(3, 4, 3), SmallUnet(3, 4)], ids=["dncnn", "unet"])
def test_images_of_any_size_come_out_as_they_went_in(network: nn.Module, size: tuple[int, int]) -> None:
    assert network(torch.rand(2, 3, *size)).shape == (2, 3, *size)


def test_a_denoiser_learns_to_denoise() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallUnet(1, 4)
    flat = torch.rand(64, 1, 1, 1).expand(64, 1, 8, 8)
    source = noising()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(200):
        optimiser.zero_grad()
        F.mse_loss(network(flat + source.like(flat.contiguous())), flat).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        error = F.mse_loss(network(flat + source.like(flat.contiguous())), flat)

    assert error < 0.3 * 0.3 / 4


@pytest.mark.parametrize("kind", ["dncnn", "unet"])
def test_the_classifier_is_left_alone(kind: str) -> None:
    module, example = build("resnet")
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    denoised = DenoiserAdaptation(kind).adapt(module, head=("fc",), example=example, seed=0)
    assert isinstance(denoised, Denoised)
    denoised.train()
    denoised(example.expand(4, -1, -1, -1)).sum().backward()

    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(weight.grad is None for weight in denoised.classifier.parameters())
    assert any(weight.grad is not None for weight in denoised.denoiser.parameters())


def test_unknown_denoisers_are_refused() -> None:
    with pytest.raises(UsageError, match="dncnn, unet"):
        DenoiserAdaptation("other").adapt(build()[0], head=("head",), example=torch.zeros(1, 1, 16, 16), seed=0)
