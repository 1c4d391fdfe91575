"""Which network a tuning starts from."""

from __future__ import annotations

import pytest
import torch

from bbsmooth.coordinator import AddedPrompt, CleanedImage, FilmSpace, FoldedUNet, Form, ResidualUNet, made_of
from bbsmooth.coordinator.making import front_size_for
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import fork

PICTURES = torch.randint(256, (12, 3, 32, 32), dtype=torch.uint8, generator=fork(0))


@pytest.mark.parametrize(
    ("shape", "sigma", "form", "size"),
    [
        ((1, 28, 28), 0.25, CleanedImage(), "folded"),
        ((3, 32, 32), 0.25, CleanedImage(), "base"),
        ((1, 64, 48), 1.0, CleanedImage(), "base"),
        ((3, 224, 31), 0.25, CleanedImage(), "folded"),
        ((4, 64, 64), 0.25, CleanedImage(), "folded"),
        ((3, 64, 64), 2.0, CleanedImage(), "folded"),
        ((3, 64, 64), 0.25, AddedPrompt(0.5), "folded"),
    ],
)
def test_pictures_get_the_natural_denoiser(shape: tuple[int, int, int], sigma: float, form: Form, size: str) -> None:
    assert front_size_for(shape, sigma, form) == size


@pytest.mark.parametrize(("size", "kind"), [(None, ResidualUNet), ("small", ResidualUNet), ("folded", FoldedUNet)])
def test_it_is_made_in_the_size_that_is_wanted(size: str | None, kind: type) -> None:
    epochs = list[int]()
    made = made_of(
        PICTURES,
        noise=Gaussian(0.25),
        form=CleanedImage(),
        space=FilmSpace(),
        epochs=1,
        seed=0,
        size=size,
        progress=lambda epoch, error: epochs.append(epoch),
    )
    assert isinstance(made.architecture, kind)
    assert (made.image_shape, made.sigma, epochs) == ((3, 32, 32), 0.25, [1])


@pytest.mark.parametrize(
    ("size", "form", "said"), [("huge", CleanedImage(), "huge"), ("base", AddedPrompt(1), "prompt")]
)
def test_what_does_not_fit_is_refused(size: str, form: Form, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made_of(PICTURES, noise=Gaussian(0.25), form=form, space=FilmSpace(), epochs=1, seed=0, size=size)
