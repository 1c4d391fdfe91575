"""A given denoiser as a coordinator: what stands behind it, its fingerprint, its file, its way to other processes."""

from __future__ import annotations

import math
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bbsmooth.coordinator import Denoised, EqualiserSpace, FilmSpace, PatternSpace, load, save, show
from bbsmooth.coordinator.denoisers.opening import hand_over, open_denoiser
from bbsmooth.coordinator.storage import stored_identity
from bbsmooth.errors import UsageError
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import fork

SHAPE = (3, 12, 16)
PIXELS = torch.randint(0, 256, (8, *SHAPE), generator=fork(0, "pixels"), dtype=torch.uint8)


def shrink(images: Tensor, sigma: float) -> Tensor:
    return 0.5 + (images - 0.5) / (1 + sigma)


def given(sigma: float = 0.25, fingerprint: str = "ab") -> Denoised:
    return Denoised(denoiser=hand_over(shrink, name="shrink", fingerprint=fingerprint), sigma=sigma)


def tuned(space: EqualiserSpace | PatternSpace) -> Denoised:
    return given().tuned_in(space, torch.zeros(0), PIXELS, Gaussian(0.25), seed=0)


def test_it_shows_what_the_denoiser_gives_clipped() -> None:
    noisy = 3 * torch.randn(2, *SHAPE, generator=fork(0, "noisy"))
    assert torch.equal(show(given(), noisy, torch.zeros(0)), shrink(noisy, 0.25).clamp(0, 1))


def test_a_parameter_of_the_pattern_is_a_wave_of_five_hundredths() -> None:
    coordinator, images = tuned(PatternSpace(3)), torch.full((1, *SHAPE), 0.5)
    start = coordinator.initial_parameters()
    assert start.shape == (3 * 3 * 3,)
    for place in (0, 5, 26):
        change = coordinator.propose(images, start.index_fill(0, torch.tensor(place), 1.0)) - images
        channel, row, column = place // 9, place // 3 % 3, place % 3
        rows = torch.cos(math.pi / 12 * row * (torch.arange(12) + 0.5)) * (1 if row == 0 else math.sqrt(2))
        columns = torch.cos(math.pi / 16 * column * (torch.arange(16) + 0.5)) * (1 if column == 0 else math.sqrt(2))
        expected = torch.zeros(SHAPE)
        expected[channel] = 0.05 * rows[:, None] * columns
        torch.testing.assert_close(change[0], expected, atol=1e-6, rtol=0)
        assert float(change[0, channel].square().mean().sqrt()) == pytest.approx(0.05, rel=1e-4)


def test_the_equaliser_behind_it_has_units_of_like_changes() -> None:
    coordinator = tuned(EqualiserSpace())
    noisy = PIXELS.float() / 255 + 0.25 * torch.randn(PIXELS.shape, generator=fork(0, "noisy"))
    at = coordinator.propose(noisy, torch.zeros(20))
    contrast = coordinator.propose(noisy, torch.zeros(20).index_fill(0, torch.tensor(18), 1.0))
    assert float((contrast - at).square().mean().sqrt()) == pytest.approx(0.05, rel=0.1)


def test_tuning_goes_on_from_where_it_was() -> None:
    for space in (EqualiserSpace(), PatternSpace(2)):
        first = tuned(space)
        found = torch.randn(first.initial_parameters().shape, generator=fork(1, "found"))
        second = first.tuned_in(space, found, PIXELS, Gaussian(0.25), seed=0)
        noisy = PIXELS.float() / 255
        torch.testing.assert_close(
            second.propose(noisy, second.initial_parameters()), first.propose(noisy, found), atol=1e-6, rtol=1e-6
        )


def test_spaces_of_a_network_do_not_stand_behind_it() -> None:
    with pytest.raises(ValueError, match="those of a given denoiser stay"):
        tuned(EqualiserSpace(FilmSpace()))


def test_its_fingerprint_tells_denoiser_sigma_and_space_apart() -> None:
    others = (given(sigma=0.5), given(fingerprint="cd"), tuned(EqualiserSpace()), tuned(PatternSpace(2)))
    assert len({each.fingerprint for each in (given(), *others)}) == 5
    assert given().fingerprint == given().fingerprint


@pytest.mark.parametrize("space", [None, EqualiserSpace(), PatternSpace(2)], ids=repr)
def test_its_file_holds_what_stands_behind_it(space: EqualiserSpace | PatternSpace | None, tmp_path: Path) -> None:
    coordinator = given() if space is None else tuned(space)
    parameters = torch.randn(coordinator.initial_parameters().shape, generator=fork(2, "found"))
    save(tmp_path / "c.safetensors", coordinator, parameters, queries=0)
    again, same = load(tmp_path / "c.safetensors")
    assert (again.fingerprint, again.sigma) == (coordinator.fingerprint, 0.25)
    assert stored_identity(tmp_path / "c.safetensors")[0] == coordinator.fingerprint
    noisy = PIXELS.float() / 255
    assert torch.equal(again.propose(noisy, same), coordinator.propose(noisy, parameters))


def test_a_function_is_called_by_one_thread_at_a_time() -> None:
    """Nothing is known of it: it may keep what it works on in places that two calls would share."""
    inside, second = threading.Lock(), threading.Event()

    def alone(images: Tensor) -> Tensor:
        if not inside.acquire(blocking=False):
            second.set()
            return images
        second.wait(0.3)  # as long as a second call has to come in, where none may
        inside.release()
        return images

    denoiser = hand_over(alone, name="alone", fingerprint="ef")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: denoiser(torch.zeros(1, *SHAPE), 0.25), range(2)))
    assert not second.is_set()


def test_the_shipped_denoiser_computes_where_its_images_are() -> None:
    images = torch.zeros(2, *SHAPE, device="meta")  # which no other device can be given
    assert open_denoiser("natural-small")(images, 0.25).device.type == "meta"


def test_it_travels_to_another_process_by_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def half(images, sigma):\n    return images / 2\n")
    denoiser = open_denoiser(f"module:{file}:half")
    moved = pickle.loads(pickle.dumps(Denoised(denoiser=denoiser, sigma=0.25)))
    assert torch.equal(moved.propose(torch.ones(1, *SHAPE), torch.zeros(0)), torch.full((1, *SHAPE), 0.5))
    raw = pickle.dumps(denoiser)
    file.write_text("def half(images, sigma):\n    return images / 3\n")
    with pytest.raises(UsageError, match="is not the one that it was"):
        pickle.loads(raw)
    assert pickle.loads(pickle.dumps(given().denoiser)).fingerprint == "ab"
