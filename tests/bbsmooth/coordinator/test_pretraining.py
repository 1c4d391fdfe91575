from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bbsmooth.coordinator import AddedPrompt, Autoencoder, CleanedImage, FilmSpace, Form, PretrainPlan, pretrain, show
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import fork
from oracles import ShapeError

SIGMA = 0.5


def short(
    images: Tensor,
    *,
    seed: int = 0,
    form: Form | None = None,
    epochs: int = 1,
    progress: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Autoencoder:
    return pretrain(
        images,
        noise=Gaussian(SIGMA),
        form=form or CleanedImage(),
        space=FilmSpace(),
        plan=PretrainPlan(epochs=epochs, batch_size=100),
        seed=seed,
        progress=progress,
    )


def errors(coordinator: Autoencoder, digits: Tensor) -> list[float]:
    clean = digits[1000:].float() / 255
    noisy = clean + SIGMA * torch.randn(clean.shape, generator=fork(5))
    shown = show(coordinator, noisy, coordinator.initial_parameters())
    linear = CleanedImage().apply(torch.zeros_like, noisy, coordinator.scaling).clamp(0, 1)
    return [(image - clean).square().mean().item() for image in (shown, noisy.clamp(0, 1), linear)]


def test_new_images_come_out_much_closer_to_the_clean_ones(trained: Autoencoder, digits: Tensor) -> None:
    shown, noisy, linear = errors(trained, digits)
    assert shown < 0.5 * linear
    assert shown < 0.35 * noisy


def test_a_prompt_learns_to_clean_as_far_as_it_reaches(digits: Tensor) -> None:
    coordinator = short(digits[:1000], form=AddedPrompt(1.5), epochs=8)
    shown, noisy, _ = errors(coordinator, digits)
    assert shown < 0.5 * noisy


def test_the_same_seed_gives_the_same_weights_and_another_one_others(digits: Tensor) -> None:
    once, again, other = (short(digits[:200], seed=seed) for seed in (1, 1, 2))
    assert once.fingerprint == again.fingerprint
    assert once.fingerprint != other.fingerprint


def test_weights_are_constants_and_units_the_spread_of_each_channel(trained: Autoencoder) -> None:
    assert not any(tensor.requires_grad for tensor in trained.weights.values())
    assert all((tensor > 0).all() for name, tensor in trained.weights.items() if name.endswith(".unit"))


def test_progress_is_told_after_every_epoch_and_falls(digits: Tensor) -> None:
    told: list[tuple[int, float]] = []
    short(digits[:500], epochs=4, progress=lambda epoch, loss: told.append((epoch, loss)))
    assert [epoch for epoch, _ in told] == [1, 2, 3, 4]
    assert told[-1][1] < told[0][1]


def test_a_batch_of_one_and_flat_images_are_no_special_case(digits: Tensor) -> None:
    assert short(torch.zeros(101, 1, 8, 8, dtype=torch.uint8)).scaling.spread > 0
    assert short(digits[:1]).image_shape == (1, 8, 8)


@pytest.mark.parametrize(
    "images", [torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.zeros(3, 1, 8, 8), torch.zeros(8, 8)], ids=str
)
def test_what_is_not_a_stack_of_images_is_refused(images: Tensor) -> None:
    with pytest.raises(ShapeError, match="images must be uint8"):
        short(images)


@pytest.mark.parametrize("changed", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_plans_that_do_not_train_are_refused(changed: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        PretrainPlan(**{"epochs": 1} | changed)  # type: ignore[arg-type]
