"""Splitting noise against brute force: every image, every perturbed image, arbitrary classifiers."""

import hashlib
import math
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from torch import Tensor

from bbsmooth.noise import Splitting

WHITE = 5
LEVELS = range(WHITE + 1)
IMAGES = [torch.tensor(pixels, dtype=torch.uint8).view(1, 1, 2) for pixels in product(LEVELS, LEVELS)]


def splitting(views: int) -> Splitting:
    found = Splitting(views / (2 * math.sqrt(3) * WHITE), WHITE)
    assert found.views == views
    return found


def scrambled(view: Tensor, salt: int) -> int:
    """A classifier without sense: a tilted plane, overruled by chance at every third view."""
    digest = hashlib.sha256(view.numpy().tobytes() + bytes([salt])).digest()
    if digest[0] % 3 == 0:
        return digest[1] % 3
    return int(view.flatten() @ torch.tensor([1.0, 0.3], dtype=view.dtype) > 0.6)


def votes(noise: Splitting, image: Tensor, salt: int, *, eight_bit: bool) -> Counter[int]:
    offsets = noise.offsets(salt, image.numel())
    views = noise.view(image, offsets, first=0, count=noise.views, eight_bit=eight_bit)
    return Counter(scrambled(view / WHITE if eight_bit else view, salt) for view in views)


def certificate(counts: Counter[int], noise: Splitting) -> tuple[int, float]:
    (label, most), (_, runner_up) = [*counts.most_common(2), (-1, 0)][:2]
    return label, noise.radius(most, runner_up)


@pytest.mark.parametrize("eight_bit", [True, False])
@pytest.mark.parametrize("views", [1, 2, 3, 5, 6, 9, 14])
def test_every_certificate_holds_for_every_perturbed_image(views: int, eight_bit: bool) -> None:
    noise, certified, met = splitting(views), 0, 0
    for salt in range(12):
        found = [certificate(votes(noise, image, salt, eight_bit=eight_bit), noise) for image in IMAGES]
        for (image, (label, radius)), (other, (other_label, _)) in product(zip(IMAGES, found, strict=True), repeat=2):
            distance = int((image.int() - other.int()).abs().sum()) / WHITE
            if distance < radius:
                assert other_label == label
                certified += distance > 0
            elif other_label != label:
                met += distance < radius + 2 / WHITE
    assert met > 0  # other classes begin right beyond some of the radii
    assert certified > 0 or views < 5


@pytest.mark.parametrize("views", [1, 3, 5, 8, 11])
def test_each_step_of_each_value_changes_exactly_one_view(views: int) -> None:
    noise = splitting(views)
    offsets = noise.offsets(3, 2)
    for image in IMAGES:
        for place in (0, 1):
            if image.flatten()[place] == WHITE:
                continue
            moved = image.clone()
            moved.view(-1)[place] += 1
            both = [noise.view(one, offsets, first=0, count=views, eight_bit=False) for one in (image, moved)]
            changed = (both[0] != both[1]).flatten(1).any(1)
            assert int(changed.sum()) == 1


def test_a_view_shows_the_middle_of_the_cell() -> None:
    noise = Splitting(0.1)  # 88 views
    image = torch.tensor([0, 10, 11, 98, 99, 255], dtype=torch.uint8).view(1, 1, 6)
    (view,) = noise.view(image, np.zeros(6, dtype=np.int64), first=10, count=1, eight_bit=False)
    cuts = [0, 10.5, 98.5, 186.5, 255]
    middles = [(low + high) / 2 for low, high in pairwise(cuts)]
    expected = [middles[0], middles[0], middles[1], middles[1], middles[2], middles[3]]
    assert view.flatten().tolist() == pytest.approx([middle / 255 for middle in expected])


def test_views_do_not_depend_on_how_many_are_drawn_at_once() -> None:
    noise, image = Splitting(0.05), torch.arange(12, dtype=torch.uint8).view(3, 2, 2) * 20
    offsets = noise.offsets(1, 12)
    whole = noise.view(image, offsets, first=0, count=noise.views, eight_bit=True)
    parts = [noise.view(image, offsets, first=s, count=1, eight_bit=True) for s in range(noise.views)]
    assert torch.equal(whole, torch.cat(parts))


def test_sigma_is_that_of_uniform_noise_with_the_same_cuts() -> None:
    noise = Splitting(0.5)
    assert noise.views == 442
    cuts = (np.arange(noise.views) - (noise.views - 1) / 2) / 255
    assert cuts.std() == pytest.approx(0.5, rel=2e-3)


def test_the_radius_is_that_of_the_theorem() -> None:
    noise = Splitting(0.5)
    reach = noise.views / (2 * 255)
    assert noise.radius(400, 42) == pytest.approx(reach * (400 / 442 - 42 / 442))
    assert noise.radius(221, 221) == 0
    assert noise.radius(10, 20) == 0


def test_a_sigma_without_a_view_is_refused() -> None:
    with pytest.raises(ValueError, match="`sigma` must be at least"):
        Splitting(0.0004)
    with pytest.raises(ValueError, match="positive"):
        Splitting(math.nan)
