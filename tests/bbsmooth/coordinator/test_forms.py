import math

import pytest
import torch

from bbsmooth.coordinator.forms import AddedPrompt, CleanedImage, Scaling
from bbsmooth.randomness import fork

SCALING = Scaling(sigma=1.0, mean=0.25, spread=0.5)


def test_standardised_images_have_unit_variance() -> None:
    clean = 0.25 + 0.5 * torch.randn(200_000, generator=fork(0))
    values = SCALING.standardise(clean + torch.randn(200_000, generator=fork(1)))
    assert values.mean().item() == pytest.approx(0, abs=0.01)
    assert values.std().item() == pytest.approx(1, abs=0.01)


def test_cleaned_image_of_a_silent_network_is_the_best_linear_estimate() -> None:
    # For independent normal pixels the mean squared error is s^2 d^2 / (s^2 + d^2), and no estimate has less.
    clean = 0.25 + 0.5 * torch.randn(1, 1, 500, 500, generator=fork(0))
    noisy = clean + torch.randn(clean.shape, generator=fork(1))
    estimate = CleanedImage().apply(torch.zeros_like, noisy, SCALING)
    assert (estimate - clean).square().mean().item() == pytest.approx(0.25 / 1.25, rel=0.01)


def test_the_best_network_for_a_cleaned_image_has_unit_output() -> None:
    clean = 0.25 + 0.5 * torch.randn(1, 1, 500, 500, generator=fork(0))
    noisy = clean + torch.randn(clean.shape, generator=fork(1))
    silent = CleanedImage().apply(torch.zeros_like, noisy, SCALING)
    change = 0.5 / math.sqrt(1.25)
    assert ((clean - silent) / change).std().item() == pytest.approx(1, rel=0.01)


def test_a_prompt_is_added_and_bounded() -> None:
    images = torch.randn(2, 1, 8, 8, generator=fork(0))
    assert torch.equal(AddedPrompt(0.5).apply(torch.zeros_like, images, SCALING), images)
    far = AddedPrompt(0.5).apply(lambda x: torch.full_like(x, 100.0), images, SCALING)
    torch.testing.assert_close(far, images + 0.5)


@pytest.mark.parametrize("strength", [0.0, -1.0, math.nan, math.inf])
def test_a_prompt_without_strength_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        AddedPrompt(strength)


@pytest.mark.parametrize("changed", [{"sigma": 0.0}, {"spread": 0.0}, {"sigma": math.nan}])
def test_scaling_by_nothing_is_refused(changed: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Scaling(**{"sigma": 1.0, "mean": 0.0, "spread": 1.0} | changed)
