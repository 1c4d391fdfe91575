from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.noise import DISTRIBUTIONS, Gaussian
from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives import OBJECTIVES, Augmentation, Clean, Consistency, Macer, SmoothAdversarial

IMAGES = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 1, 0])
WEIGHTS = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).float()


def linear(images: Tensor) -> Tensor:
    return images.flatten(1) @ WEIGHTS


def noising(seed: int = 3, sigma: float = 0.5) -> Noising:
    return Noising(Gaussian(sigma), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_training_noise_has_the_distribution_that_it_names(name: str) -> None:
    noise = DISTRIBUTIONS[name](0.3)
    draws = Noising(noise, torch.Generator().manual_seed(0)).like(torch.empty(400, 1, 50, 50)).double()
    count, fourth = draws.numel(), {"gaussian": 3.0, "laplace": 6.0, "uniform": 1.8}[name]

    assert abs(draws.mean()) < 5 * 0.3 / math.sqrt(count)
    assert draws.std() == pytest.approx(0.3, rel=5 * math.sqrt(fourth / count))
    assert (draws / 0.3).pow(4).mean() == pytest.approx(fourth, rel=0.05)
    assert draws.isfinite().all()


def test_augmentation_is_the_cross_entropy_of_a_noisy_copy() -> None:
    expected = F.cross_entropy(linear(IMAGES + noising().like(IMAGES)), LABELS)

    assert Augmentation().loss(linear, IMAGES, LABELS, noising(), trained=0.0) == expected


def test_consistency_is_equation_7() -> None:
    both = IMAGES.repeat(2, 1, 1, 1) + noising().like(IMAGES.repeat(2, 1, 1, 1))
    first, second = linear(both).softmax(1).view(2, 5, 3)
    mean = (first + second) / 2
    divergence = sum((mean * (mean / one).log()).sum(1).mean() for one in (first, second)) / 2
    entropy = -(mean * mean.log()).sum(1).mean()
    natural = -(first.log()[range(5), LABELS] + second.log()[range(5), LABELS]).mean() / 2

    found = Consistency(weight=7.0, entropy_weight=0.3).loss(linear, IMAGES, LABELS, noising(), trained=0.0)

    torch.testing.assert_close(found, natural + 7 * divergence + 0.3 * entropy)


@pytest.mark.parametrize(("sigma", "weight"), [(0.12, 20.0), (0.25, 20.0), (0.5, 10.0), (1.0, 10.0)])
def test_consistency_weighs_as_the_paper_does(sigma: float, weight: float) -> None:
    losses = [
        objective.loss(linear, IMAGES, LABELS, noising(sigma=sigma), trained=0.0)
        for objective in (Consistency(), Consistency(weight=weight))
    ]
    assert losses[0] == losses[1]


def test_macer_is_cross_entropy_and_a_hinge_on_the_radius_of_right_images() -> None:
    macer = Macer(draws=3, weight=2.0, margin=1.5, sharpness=2.0)
    clean = IMAGES.repeat(3, 1, 1, 1)
    logits = linear(clean + noising().like(clean)).view(3, 5, 3)
    mean, soft = logits.softmax(2).mean(0), (2 * logits).softmax(2).mean(0)
    hinges = []
    for row, label in zip(soft, LABELS.tolist(), strict=True):
        others = max(row[other] for other in range(3) if other != label)
        gap = torch.special.ndtri(row[label]) - torch.special.ndtri(others)
        hinges.append(max(0.0, 1.5 - float(gap)) if row[label] > others else 0.0)
    expected = -mean[range(5), LABELS].log().mean() + 2 * 0.5 / 2 * sum(hinges) / 5

    torch.testing.assert_close(macer.loss(linear, IMAGES, LABELS, noising(), trained=0.0), expected)
    assert any(hinges)
    assert not all(hinges)


def test_macer_survives_answers_that_are_certain() -> None:
    images = IMAGES.clone().requires_grad_(True)
    loss = Macer(draws=2).loss(lambda noisy: 1e4 * linear(noisy), images, LABELS, noising(), trained=0.0)
    loss.backward()  # type: ignore[no-untyped-call]

    assert loss.isfinite()
    assert images.grad is not None
    assert images.grad.isfinite().all()


def test_the_attack_reaches_the_worst_image_of_a_linear_model() -> None:
    """With two classes and no noise the worst image within the ball is a step along the difference of the weights."""
    direction = WEIGHTS[:, 1] - WEIGHTS[:, 0]
    images = torch.full((1, 1, 2, 2), 0.5)
    attack = SmoothAdversarial(steps=10, draws=1)
    found = attack.attack(
        lambda noisy: linear(noisy)[:, :2], images, torch.tensor([0]), torch.zeros(1, 1, 2, 2), radius=0.2
    )

    torch.testing.assert_close((found - images).flatten(), 0.2 * direction / direction.norm())


def test_smooth_adversarial_stays_in_ball_and_box_and_raises_the_loss() -> None:
    attack = SmoothAdversarial(radius=0.4, draws=4, steps=4)
    noise = noising().like(IMAGES.repeat(4, 1, 1, 1))
    found = attack.attack(linear, IMAGES, LABELS, noise, radius=0.4)

    def smoothed_loss(images: Tensor) -> Tensor:
        mean = linear(images.repeat(4, 1, 1, 1) + noise).softmax(1).view(4, 5, 3).mean(0)
        return -mean[range(5), LABELS].log()

    assert (found - IMAGES).flatten(1).norm(dim=1).max() <= 0.4 + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1
    assert (smoothed_loss(found) > smoothed_loss(IMAGES)).all()


def test_smooth_adversarial_begins_without_an_attack() -> None:
    clean = IMAGES.repeat(2, 1, 1, 1)
    expected = F.cross_entropy(linear(clean + noising().like(clean)), LABELS.repeat(2))

    assert SmoothAdversarial().loss(linear, IMAGES, LABELS, noising(), trained=0.0) == expected


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_can_be_learnt(name: str) -> None:
    """A linear model learns to tell bright from dark under each of them."""
    weights = torch.zeros(4, 2, requires_grad=True)
    bright = torch.cat([torch.full((20, 1, 2, 2), 0.1), torch.full((20, 1, 2, 2), 0.9)])
    labels = torch.arange(2).repeat_interleave(20)
    optimiser = torch.optim.Adam([weights], lr=0.1)
    source = noising(sigma=0.25)
    for step in range(60):
        optimiser.zero_grad()
        centred = OBJECTIVES[name].loss(
            lambda images: (images - 0.5).flatten(1) @ weights, bright, labels, source, trained=step / 60
        )
        centred.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    noisy = bright + source.like(bright)
    assert ((noisy - 0.5).flatten(1) @ weights).argmax(1).eq(labels).float().mean() > 0.95


def test_clean_is_the_cross_entropy_of_the_image_itself() -> None:
    assert Clean().loss(linear, IMAGES, LABELS, noising(), trained=0.0) == F.cross_entropy(linear(IMAGES), LABELS)
