"""Learning from a surrogate: the loss against its definition, agreement that rises where nobody learnt, and no harm."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Categorical, kl_divergence

from bbsmooth import data
from bbsmooth.coordinator import (
    AddedPrompt,
    Autoencoder,
    CleanedImage,
    EqualiserSpace,
    PretrainPlan,
    StabilityPlan,
    pretrain,
    show,
    stabilise,
)
from bbsmooth.coordinator.equaliser import EQUALISER, SETTINGS
from bbsmooth.coordinator.stability import Surrogate, shifted, stability_loss
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import fork

NOISE = Gaussian(1.0)
TOY = StabilityPlan(squared_error=100, steps=40, batch_size=64, learning_rate=3e-3, warm_up=7, averaging=0.8)


def _digits(count: int, split: data.Split = data.Split.TRAIN) -> tuple[Tensor, Tensor]:
    found = data.load("mnist5k", split=split)
    return found.images(range(count)), found.labels(range(count))


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    """A small network that has learnt to read 1,000 digits."""
    images, labels = _digits(1000)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(
            *(nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(800, 10)),
        )
    optimiser, generator = torch.optim.AdamW(module.parameters(), lr=4e-3), fork(0)
    for _ in range(8):
        for chosen in torch.split(torch.randperm(len(images), generator=generator), 50):
            optimiser.zero_grad()
            loss = F.cross_entropy(module(images[chosen].float() / 255 - 0.5), labels[chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    module.eval().requires_grad_(False)

    def logits(images: Tensor) -> Tensor:
        found: Tensor = module(images - 0.5)
        return found

    return logits


@pytest.fixture(scope="module")
def start() -> Autoencoder:
    return pretrain(
        _digits(1000)[0],
        noise=NOISE,
        form=CleanedImage(),
        space=EqualiserSpace(),
        plan=PretrainPlan(epochs=2),
        seed=0,
    )


def _shown(coordinator: Autoencoder, clean: Tensor) -> Tensor:
    noisy = clean + torch.randn(clean.shape, generator=fork(7))
    return show(coordinator, noisy, coordinator.initial_parameters())


def test_the_surrogate_keeps_more_of_its_answers_on_images_that_taught_nobody(
    surrogate: Surrogate, start: Autoencoder
) -> None:
    found = stabilise(start, _digits(1000)[0], surrogate, noise=NOISE, plan=TOY, seed=0)
    assert found.judged == 4 * 100
    assert found.agreement > found.agreement_start
    clean = _digits(500, data.Split.TEST)[0].float() / 255
    with torch.inference_mode():
        said = surrogate(clean).argmax(1)
        before, after = (
            int((surrogate(_shown(each, clean)).argmax(1) == said).sum()) for each in (start, found.coordinator)
        )
    assert after > before + 5


def _losses(start: Autoencoder, surrogate: Surrogate, *, seed: int, steps: int = 2) -> list[float]:
    """What every step cost."""
    found: list[float] = []
    plan = replace(TOY, steps=steps, batch_size=20)
    images = _digits(30)[0]
    stabilise(start, images, surrogate, noise=NOISE, plan=plan, seed=seed, progress=lambda _, loss: found.append(loss))
    return found


def test_the_same_seed_gives_the_same_steps(surrogate: Surrogate, start: Autoencoder) -> None:
    first, second, other = (_losses(start, surrogate, seed=seed, steps=3) for seed in (0, 0, 1))
    assert first == second
    assert not set(first) & set(other)


def test_parts_of_a_batch_are_one_batch(
    surrogate: Surrogate, start: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _losses(start, surrogate, seed=0)
    monkeypatch.setattr("bbsmooth.coordinator.stability._PIXELS_AT_ONCE", 3 * 28 * 28)
    assert _losses(start, surrogate, seed=0) == pytest.approx(whole, rel=1e-3)


def test_a_surrogate_that_always_says_the_same_teaches_nothing(start: Autoencoder) -> None:
    def indifferent(images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None] * torch.zeros(3)

    found = stabilise(start, _digits(20)[0], indifferent, noise=NOISE, plan=replace(TOY, steps=2), seed=0)
    assert found.coordinator is start
    assert (found.agreement_start, found.agreement) == (1.0, 1.0)


def test_what_does_not_help_is_not_kept(surrogate: Surrogate, start: Autoencoder) -> None:
    plan = replace(TOY, steps=3, learning_rate=10.0, averaging=0.0)
    found = stabilise(start, _digits(100)[0], surrogate, noise=NOISE, plan=plan, seed=0)
    assert found.coordinator is start
    assert found.agreement == found.agreement_start > 0.5


def test_an_equaliser_that_was_tuned_before_stays_and_counts(start: Autoencoder) -> None:
    """With the contrast at -1 every image is grey, so that the surrogate agrees with itself whatever is learnt."""
    settings = torch.zeros(SETTINGS)
    settings[-2] = -1
    grey = replace(start, weights={**start.weights, EQUALISER: settings})

    def bright(images: Tensor) -> Tensor:
        mean = images.mean((1, 2, 3))
        return torch.stack([0.5 - mean, mean - 0.499], 1)

    images = _digits(20)[0]
    found = stabilise(grey, images, bright, noise=NOISE, plan=replace(TOY, steps=1), seed=0)
    clean = images.float() / 255
    held = torch.randperm(20, generator=fork(0, "fine-tuning", "held out"))[:2]
    assert found.agreement_start == float((bright(clean[held]).argmax(1) == 1).float().mean())


def test_the_loss_is_the_divergence_from_what_was_said_of_the_clean_image_and_the_squared_error() -> None:
    said, says = torch.randn(2, 5, 3, generator=fork(3))
    divergence = kl_divergence(Categorical(logits=said), Categorical(logits=says)).mean()
    assert stability_loss(said, says, torch.tensor(0.25), 2.0) == pytest.approx(float(divergence) + 0.5, rel=1e-5)
    assert stability_loss(said, said, torch.tensor(0.0), 2.0) == pytest.approx(0, abs=1e-6)


def test_images_are_shifted_as_said() -> None:
    image = torch.arange(20.0).view(1, 1, 4, 5)
    assert torch.equal(shifted(image, 2, 2, 2), image)
    assert torch.equal(shifted(image, 2, 3, 2)[..., :-1, :], image[..., 1:, :])
    assert torch.equal(shifted(image, 2, 2, 0)[..., 2:], image[..., :-2])
    assert torch.equal(shifted(image, 1, 0, 1)[..., 0, :], image[..., 1, :])  # reflected


def test_the_rate_rises_stays_and_falls() -> None:
    plan = StabilityPlan(steps=100, learning_rate=1.0, warm_up=10)
    assert [plan.rate(step) for step in (0, 9, 50, 75)] == pytest.approx([0.1, 1, 1, 0.5])
    assert plan.rate(99) == pytest.approx(0.02)


def test_a_prompt_and_images_of_another_shape_are_refused(surrogate: Surrogate, start: Autoencoder) -> None:
    with pytest.raises(ValueError, match="adds a prompt"):
        stabilise(replace(start, form=AddedPrompt(1.0)), _digits(20)[0], surrogate, noise=NOISE, plan=TOY, seed=0)
    with pytest.raises(ValueError, match=r"for images \(1, 28, 28\), got \(1, 9, 8\)"):
        stabilise(start, torch.zeros(2, 1, 9, 8, dtype=torch.uint8), surrogate, noise=NOISE, plan=TOY, seed=0)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"steps": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}, {"warm_up": 0}),
        *({"squared_error": -1.0}, {"shift": -1}, {"averaging": 1.0}),
    ],
)
def test_plans_that_would_not_train_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        StabilityPlan(**wrong)  # type: ignore[arg-type]
