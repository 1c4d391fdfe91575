"""Noise drawn by torch: the same bits as NumPy's, on every device at hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bbsmooth.noise import DISTRIBUTIONS, Gaussian, Grid, Laplace, NoiseDistribution, Uniform, on_device
from bbsmooth.noise.on_device import DrawRequest, noisy_on
from bbsmooth.randomness import Stream, name_digest

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
    pytest.param("mps", marks=pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no MPS device")),
]
SHAPES = [(1, 4, 4), (3, 9, 13), (3, 32, 32), (1, 129, 130)]


def requests(shape: tuple[int, int, int]) -> list[DrawRequest]:
    """Draws that begin and end within places, lie in one, and span several."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8)
    spans = ((0, 3), (5, 29), (31, 17))
    return [
        DrawRequest(image, Stream(name_digest(5, number)), first, count)
        for number, (image, (first, count)) in enumerate(zip(images, spans, strict=True))
    ]


def by_numpy(grid: Grid, noise: NoiseDistribution, asked: list[DrawRequest]) -> Tensor:
    return torch.cat([grid.noisy(one.image, noise, one.stream, first=one.first, count=one.count) for one in asked])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("eight_bit", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [Gaussian(0.25), Laplace(0.5), Uniform(0.1), Gaussian(0.001)], ids=str)
def test_every_device_draws_the_same_bits(
    noise: NoiseDistribution, shape: tuple[int, int, int], eight_bit: bool, device: str
) -> None:
    grid, asked = Grid.fitting(noise, eight_bit=eight_bit), requests(shape)
    found = noisy_on(torch.device(device), grid, noise, asked)
    assert found.device.type == device
    assert found.dtype == (torch.uint8 if eight_bit else torch.float32)
    assert torch.equal(found.cpu(), by_numpy(grid, noise, asked))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_pieces_of_any_size_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise, asked = DISTRIBUTIONS[name](0.3), requests((1, 8, 8))
    grid = Grid.fitting(noise, eight_bit=False)
    whole = noisy_on(torch.device("cpu"), grid, noise, asked)
    for places in (1, 2, 3):
        monkeypatch.setattr(on_device, "_VALUES_AT_ONCE", places * 16 * 64)
        assert torch.equal(noisy_on(torch.device("cpu"), grid, noise, asked), whole)


def test_threads_of_torch_change_nothing() -> None:
    noise, asked, before = Gaussian(0.5), requests((3, 32, 32)), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = noisy_on(torch.device("cpu"), Grid(0), noise, asked)
        torch.set_num_threads(2)
        assert torch.equal(noisy_on(torch.device("cpu"), Grid(0), noise, asked), one)
    finally:
        torch.set_num_threads(before)
