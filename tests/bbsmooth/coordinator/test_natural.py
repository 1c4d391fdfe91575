"""The denoiser that ships: what it takes, and that it takes noise off."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bbsmooth import data
from bbsmooth.coordinator import Autoencoder, DecoderSpace, EqualiserSpace, load, save, show
from bbsmooth.coordinator.natural import SHIPPED, natural
from bbsmooth.randomness import fork


def _digits(count: int) -> torch.Tensor:
    return data.load("mnist5k", split="test").images(range(count)).float() / 255


def _error(coordinator: Autoencoder, clean: torch.Tensor, sigma: float) -> float:
    """Mean squared error of what is shown for noisy images."""
    noisy = clean + sigma * torch.randn(clean.shape, generator=fork(0))
    with torch.inference_mode():
        return float(F.mse_loss(show(coordinator, noisy, coordinator.initial_parameters()), clean))


@pytest.mark.parametrize("size", SHIPPED)
@pytest.mark.parametrize(("sigma", "left"), [(0.05, 0.7), (0.25, 0.4), (0.5, 0.3), (1.0, 0.3)])
def test_it_takes_noise_off_what_it_never_saw(size: str, sigma: float, left: float) -> None:
    """Digits are no natural images; whoever knows edges cleans them all the same."""
    digits = _digits(64)
    noisy = digits + sigma * torch.randn(digits.shape, generator=fork(0))
    clipped = float(F.mse_loss(noisy.clamp(0, 1), digits))
    assert _error(natural((1, 28, 28), sigma, size=size), digits, sigma) < left * clipped


def test_it_knows_how_much_noise_there_is() -> None:
    digits = _digits(64)
    errors = {told: _error(natural((1, 28, 28), told), digits, 0.25) for told in (0.1, 0.25, 0.6)}
    assert min(errors, key=lambda told: errors[told]) == 0.25


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 33, 47), (1, 64, 40)])
def test_any_size_of_image(shape: tuple[int, int, int]) -> None:
    ramp = torch.linspace(0.2, 0.8, shape[2]).expand(4, *shape)
    assert _error(natural(shape, 0.25), ramp, 0.25) < 0.25**2 / 4


@pytest.mark.parametrize("size", SHIPPED)
@pytest.mark.parametrize("space", [None, DecoderSpace(), EqualiserSpace()])
def test_it_can_be_tuned_and_kept(size: str, space: DecoderSpace | EqualiserSpace | None, tmp_path: Path) -> None:
    made = natural((3, 16, 16), 0.3, size=size, space=space)
    start = made.initial_parameters()
    noisy = torch.rand(2, 3, 16, 16, generator=fork(1))
    with torch.inference_mode():
        shown = show(made, noisy, start)
        assert not torch.equal(show(made, noisy, start + 0.05), shown)
    save(tmp_path / "file", made, start)
    again, parameters = load(tmp_path / "file")
    assert again.fingerprint == made.fingerprint
    with torch.inference_mode():
        assert torch.equal(show(again, noisy, parameters), shown)


@pytest.mark.parametrize(
    ("shape", "sigma", "size", "said"),
    [
        ((4, 16, 16), 0.25, "base", "grey or colour images .*, got 4 channels"),
        ((3, 16, 16), 0.01, "base", "sigma 0.04 to 1.1, got 3 channels and sigma 0.01"),
        ((3, 16, 16), 2.0, "base", "sigma 0.04 to 1.1, got 3 channels and sigma 2"),
        ((3, 16, 16), 0.25, "huge", "sizes small and base, got 'huge'"),
        ((3, 7, 16), 0.25, "base", "at least 8 x 8"),
    ],
)
def test_what_it_was_not_made_for_is_refused(shape: tuple[int, int, int], sigma: float, size: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        natural(shape, sigma, size=size)
