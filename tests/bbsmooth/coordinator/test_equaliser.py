import dataclasses

import pytest
import torch
from torch import Tensor

from bbsmooth.coordinator import Autoencoder, EqualiserSpace, FilmSpace, show
from bbsmooth.coordinator.dct import cosines
from bbsmooth.coordinator.equaliser import EQUALISER, NUM_BANDS, SETTINGS, UNITS, equalise, units_of
from bbsmooth.randomness import fork

SHOWN = torch.rand(3, 2, 16, 16, generator=fork(0))
NOISY = torch.randn(3, 2, 16, 16, generator=fork(1))
HALF_WAY = 5  # of nine bands this one holds the patterns from half the highest frequency on


def settings(**changed: float) -> Tensor:
    names = (
        [f"g{band}" for band in range(NUM_BANDS)] + [f"h{band}" for band in range(NUM_BANDS)] + ["contrast", "light"]
    )
    return torch.tensor([changed.get(name, 0.0) for name in names])


def test_zero_leaves_the_image_as_it_is() -> None:
    torch.testing.assert_close(equalise(SHOWN, NOISY, settings()), SHOWN)


def test_all_of_the_residual_is_the_noisy_image() -> None:
    back = settings(**{f"h{band}": 1.0 for band in range(NUM_BANDS)})
    torch.testing.assert_close(equalise(SHOWN, NOISY, back), NOISY, atol=1e-5, rtol=0)


def test_all_gains_and_contrast_are_a_factor_around_middle_grey() -> None:
    louder = settings(**{f"g{band}": 0.5 for band in range(NUM_BANDS)})
    torch.testing.assert_close(equalise(SHOWN, NOISY, louder), 0.5 + 1.5 * (SHOWN - 0.5))
    torch.testing.assert_close(equalise(SHOWN, NOISY, settings(contrast=0.5)), 0.5 + 1.5 * (SHOWN - 0.5))
    torch.testing.assert_close(equalise(SHOWN, NOISY, settings(light=0.2)), SHOWN + 0.2)


@pytest.mark.parametrize(("row", "column", "inside"), [(8, 0, True), (3, 9, True), (7, 7, False), (10, 0, False)])
def test_a_gain_moves_the_patterns_of_its_band_and_no_other(row: int, column: int, inside: bool) -> None:
    waves = cosines(16, 16)
    pattern = (waves[row][:, None] * waves[column][None, :])[None, None]
    changed = equalise(0.5 + pattern, NOISY[:1, :1], settings(**{f"g{HALF_WAY}": 1.0}))
    torch.testing.assert_close(changed, 0.5 + (2 if inside else 1) * pattern, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 33, 20)])
def test_the_bands_fill_every_spectrum_once(shape: tuple[int, int, int]) -> None:
    shown, noisy = torch.rand(2, *shape, generator=fork(2)), torch.zeros(2, *shape)
    louder = settings(**{f"g{band}": 1.0 for band in range(NUM_BANDS)})
    torch.testing.assert_close(equalise(shown, noisy, louder), 2 * shown - 0.5, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("inner", [None, FilmSpace()], ids=repr)
def test_it_stands_behind_the_network(trained: Autoencoder, inner: FilmSpace | None) -> None:
    space = EqualiserSpace(inner)
    coordinator = dataclasses.replace(trained, space=space)
    images = torch.rand(5, 1, 8, 8, generator=fork(3))
    parameters = torch.zeros(space.size(trained.architecture))
    parameters[SETTINGS - 1] = 0.1
    before = trained.propose(images, trained.initial_parameters())
    torch.testing.assert_close(coordinator.propose(images, parameters), before + 0.1 * 0.05)


def test_a_second_tuning_goes_on_from_the_first(trained: Autoencoder) -> None:
    space = EqualiserSpace()
    first = 0.3 * torch.randn(SETTINGS, generator=fork(4))
    second = 0.3 * torch.randn(SETTINGS, generator=fork(5))
    weights = space.weights(trained.architecture, trained.weights, first)
    assert torch.equal(weights[EQUALISER], first * trained.weights[UNITS])
    kept = dataclasses.replace(trained, weights=weights)
    images = torch.rand(5, 1, 8, 8, generator=fork(6))
    one = dataclasses.replace(trained, space=space)
    assert torch.equal(show(kept, images, kept.initial_parameters()), show(one, images, first))
    torch.testing.assert_close(
        show(dataclasses.replace(kept, space=space), images, second), show(one, images, first + second)
    )


def test_a_unit_of_each_setting_is_a_like_change() -> None:
    units = units_of(SHOWN, NOISY)
    for setting in torch.eye(SETTINGS):
        change = equalise(SHOWN, NOISY, setting * units) - SHOWN
        assert change.square().mean().sqrt().item() == pytest.approx(0.05, rel=1e-3)
    assert torch.isfinite(units_of(torch.full((1, 1, 8, 8), 0.5), torch.full((1, 1, 8, 8), 0.5))).all()


def test_a_coordinator_without_units_cannot_be_equalised(trained: Autoencoder) -> None:
    weights = {name: tensor for name, tensor in trained.weights.items() if name != UNITS}
    before = dataclasses.replace(trained, weights=weights)  # as earlier versions made them
    coordinator = dataclasses.replace(before, space=EqualiserSpace())
    with pytest.raises(ValueError, match="pre-train it anew"):
        coordinator.propose(torch.rand(1, 1, 8, 8), coordinator.initial_parameters())


def test_what_inference_mode_left_can_be_differentiated() -> None:
    shape = (1, 1, 9, 14)  # of no other test, so that the transform is made here
    with torch.inference_mode():
        equalise(torch.rand(shape), torch.rand(shape), settings())
    wanted = settings().requires_grad_(True)
    equalise(torch.rand(shape), torch.rand(shape), wanted).sum().backward()  # type: ignore[no-untyped-call]
    assert wanted.grad is not None
