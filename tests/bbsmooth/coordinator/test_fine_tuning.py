"""Fine-tuning: it learns where there is something to learn, ends by itself, and never gives back a worse denoiser."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bbsmooth.coordinator import Autoencoder, CleanedImage, FilmSpace, ResidualUNet, Scaling, show
from bbsmooth.coordinator.fine_tuning import FineTuningPlan, _Length, fine_tune
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import fork

NOISE = Gaussian(0.25)


def _start() -> Autoencoder:
    """A network that has learnt nothing."""
    architecture = ResidualUNet(image_shape=(1, 8, 8), widths=(4, 8), encoder_blocks=(0, 1), decoder_blocks=(1, 0))
    weights = architecture.initial_weights(fork(0))
    units = {f"{name}.unit": torch.ones(architecture.layers[name].outputs) for name in architecture.decoder_layers}
    return Autoencoder(
        architecture=architecture,
        scaling=Scaling(sigma=0.25, mean=0.5, spread=0.25),
        form=CleanedImage(),
        space=FilmSpace(),
        weights=weights | units,
    )


def _flat(count: int) -> torch.Tensor:
    """Images of one shade each: whoever learns to average takes nearly all noise off."""
    shades = torch.randint(40, 216, (count, 1, 1, 1), dtype=torch.uint8, generator=fork(1))
    return shades.expand(-1, 1, 8, 8).contiguous()


def _error(coordinator: Autoencoder, images: torch.Tensor) -> float:
    clean = images.float() / 255
    noisy = clean + 0.25 * torch.randn(clean.shape, generator=fork(2))
    with torch.inference_mode():
        return float(F.mse_loss(show(coordinator, noisy, coordinator.initial_parameters()), clean))


def test_it_learns_what_the_images_are_like() -> None:
    start, images = _start(), _flat(300)
    plan = FineTuningPlan(epochs=12, learning_rate=5e-3)
    tuned = fine_tune(start, images, noise=NOISE, plan=plan, seed=0)
    assert _error(tuned, _flat(50)) < 0.5 * _error(start, _flat(50))
    assert tuned.weights["decoder.head.unit"] != start.weights["decoder.head.unit"]


def test_the_same_seed_gives_the_same_network() -> None:
    plan = FineTuningPlan(epochs=2)
    first, second, other = (
        fine_tune(_start(), _flat(40), noise=NOISE, plan=plan, seed=seed).fingerprint for seed in (0, 0, 1)
    )
    assert first == second != other


def test_what_does_not_help_is_not_kept() -> None:
    start, errors = _start(), list[float]()
    plan = FineTuningPlan(epochs=30, learning_rate=10.0, patience=2)
    tuned = fine_tune(
        start, _flat(40), noise=NOISE, plan=plan, seed=0, progress=lambda epoch, error: errors.append(error)
    )
    kept = [name for name in start.weights if name.endswith((".weight", ".bias"))]
    assert all(torch.equal(tuned.weights[name], start.weights[name]) for name in kept)
    assert len(errors) == 3  # two without gain, one while the rate falls


def test_the_rate_stays_until_nothing_is_gained_and_then_falls_to_zero() -> None:
    length = _Length(FineTuningPlan(epochs=40, learning_rate=1.0, patience=2, falling_share=0.5))
    ended = [length.ends_after(epoch, gained=epoch < 9) for epoch in range(1, 11)]
    assert not any(ended)
    assert [length.rate(done) for done in (10, 12.5, 15)] == [1.0, 0.5, 0.0]
    assert [length.ends_after(epoch, gained=True) for epoch in range(11, 16)] == [False] * 4 + [True]


def test_the_last_epoch_allowed_is_the_end_of_a_fall() -> None:
    length = _Length(FineTuningPlan(epochs=30, learning_rate=1.0, falling_share=0.5))
    assert [length.rate(done) for done in (0, 20, 25, 30)] == [1.0, 1.0, 0.5, 0.0]
    assert [length.ends_after(epoch, gained=True) for epoch in range(1, 31)] == [False] * 29 + [True]


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"for images \(1, 8, 8\), got \(1, 9, 8\)"):
        fine_tune(
            _start(), torch.zeros(2, 1, 9, 8, dtype=torch.uint8), noise=NOISE, plan=FineTuningPlan(epochs=1), seed=0
        )


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"patience": 0}])
def test_plans_that_would_not_train_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        FineTuningPlan(**({"epochs": 1} | wrong))
