import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import chisquare, norm

from bbsmooth.noise import ALGORITHMS, Gaussian, Grid
from bbsmooth.noise.adding import add_cells
from bbsmooth.noise.algorithms import CELLS, ZIGGURAT
from bbsmooth.noise.cells import cells, largest_integer
from bbsmooth.randomness import Stream, name_digest
from tests.builders import SHAPE, pictures

GREY = torch.full(SHAPE, 128, dtype=torch.uint8)
STREAM = Stream(name_digest(11, "noise"))


def steps(grid: Grid, noise: Gaussian, *, count: int = 2_000) -> NDArray[np.int64]:
    """The integers that were added to a grey image."""
    noisy = grid.noisy(GREY, noise, STREAM, first=0, count=count).double()
    sums: NDArray[np.float64] = noisy.numpy().ravel() * (grid.white if grid.bits else 1)
    return np.rint(sums).astype(np.int64) - (128 << grid.bits)


def integers(grid: Grid, noise: Gaussian, *, count: int) -> NDArray[np.int64]:
    """(count, 16) integers of the stream, before any image is added."""
    if grid.algorithm == ZIGGURAT:
        exact = np.empty((count, 16))
        STREAM.fill(noise.sample, exact, first=0)
        return np.rint(exact * grid.white).astype(np.int64)
    drawn = add_cells(np.zeros(16, dtype=np.int64), cells(noise, grid.white), STREAM, first=0, count=count)
    return np.concatenate([sums.astype(np.int64) for _, _, sums in drawn])


def test_the_noise_on_the_coarse_grid_is_the_discretised_normal() -> None:
    sigma = 2.3  # of one grid step: every single integer can be counted
    observed = steps(Grid(0), Gaussian(sigma / 255), count=20_000)
    edges = np.arange(-7.5, 8)
    probabilities = np.diff(norm.cdf(np.concatenate([[-np.inf], edges, [np.inf]]) / sigma))
    counts = np.histogram(observed, bins=np.concatenate([[-np.inf], edges, [np.inf]]))[0]
    assert chisquare(counts, probabilities * len(observed)).pvalue > 1e-3


@pytest.mark.parametrize("sigma", [0.12, 0.5, 1.0])
def test_the_noise_on_the_fine_grid_is_the_discretised_normal(sigma: float) -> None:
    grid = Grid.fitting(Gaussian(sigma), eight_bit=False)
    observed = steps(grid, Gaussian(sigma), count=10_000)
    quantiles = np.rint(norm.ppf(np.linspace(0, 1, 101)[1:-1]) * sigma * grid.white) + 0.5  # between two integers
    edges = np.concatenate([[-np.inf], quantiles, [np.inf]])
    probabilities = np.diff(ndtr(edges / (sigma * grid.white)))
    assert chisquare(np.histogram(observed, bins=edges)[0], probabilities * len(observed)).pvalue > 1e-3


def test_the_noise_is_centred_and_its_pixels_are_independent() -> None:
    values = steps(Grid(1), Gaussian(0.5), count=20_000).reshape(-1, 16) / (0.5 * Grid(1).white)
    assert abs(values.mean()) < 4 / math.sqrt(values.size)
    correlation = np.corrcoef(values.T) - np.eye(16)
    assert np.abs(correlation).max() < 5 / math.sqrt(len(values))
    assert abs(np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1]) < 4 / math.sqrt(len(values))


@pytest.mark.parametrize(("sigma", "bits"), [(0.03, 8), (1.0, 3), (10.0, 1)])
def test_images_one_step_apart_see_exactly_shifted_noise(sigma: float, bits: int) -> None:
    grid, image = Grid(bits), torch.arange(16, dtype=torch.uint8).reshape(SHAPE) * 16
    shifted = image + torch.tensor([1, 0, 2, 15] * 4, dtype=torch.uint8).reshape(SHAPE)
    one, other = (
        torch.round(grid.noisy(each, Gaussian(sigma), STREAM, first=3, count=500).double() * grid.white)
        for each in (image, shifted)
    )
    difference = (shifted.int() - image.int()).double() * 2**bits
    assert torch.equal(other - one, difference.expand_as(one))


@pytest.mark.parametrize("bits", [0, 4])
@pytest.mark.parametrize("size", [1, 7, 64, 200])
def test_draws_are_the_same_for_any_batch_size(bits: int, size: int) -> None:
    grid, noise, image = Grid(bits), Gaussian(0.5), pictures(1, seed=1)[0]
    parts = [
        grid.noisy(image, noise, STREAM, first=first, count=min(size, 200 - first)) for first in range(0, 200, size)
    ]
    assert torch.equal(torch.cat(parts), grid.noisy(image, noise, STREAM, first=0, count=200))


def test_the_noise_of_a_stream_is_the_same_on_every_machine_and_every_day() -> None:
    assert steps(Grid(1), Gaussian(0.5), count=1)[:6].tolist() == [144, 38, 101, 248, 278, -6]
    assert steps(Grid(0), Gaussian(0.05), count=1)[:6].tolist() == [7, 2, 5, 12, 14, 0]


def test_the_noise_of_version_0_1_is_the_same_as_then() -> None:
    then = Grid(8, ZIGGURAT)
    assert steps(then, Gaussian(0.5), count=1)[:6].tolist() == [44126, 39133, 13020, 13062, 11844, 29944]
    assert steps(Grid(0, ZIGGURAT), Gaussian(0.05), count=1)[:6].tolist() == [17, 15, 5, 5, 5, 12]
    assert then == Grid.fitting(Gaussian(0.5), eight_bit=False, algorithm=ZIGGURAT)
    assert repr(then) == "Grid(bits=8)"  # which checkpoints of `bbsmooth tune` hold


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ValueError, match="`noise_algorithm` must be philox4x64-cells-1 or .*, got 'mersenne'"):
        Grid(0, "mersenne")


@pytest.mark.parametrize(
    ("sigma", "bits"), [(1e-6, 12), (0.001, 8), (0.06, 3), (0.12, 2), (0.25, 1), (0.5, 1), (1.0, 1), (10.0, 1)]
)
def test_the_grid_for_floats_has_sixty_four_steps_in_a_deviation_where_it_can(sigma: float, bits: int) -> None:
    grid = Grid.fitting(Gaussian(sigma), eight_bit=False)
    assert grid.bits == bits
    grid.check(Gaussian(sigma))
    assert grid.white * sigma >= 64 or bits == 12
    assert Grid.fitting(Gaussian(sigma), eight_bit=True).bits == 0


def test_float_values_are_a_function_of_the_integer_and_nearly_always_give_it_back() -> None:
    grid = Grid(8)
    integers = torch.arange(-(2**24) + 1, 2**24, 7, dtype=torch.float32)
    values = integers / grid.white
    within = integers.abs() < 256 * grid.white  # beyond, at the last 0.4 % of the range, two integers share a float
    assert torch.equal(torch.round(values[within].double() * grid.white), integers[within].double())
    scattered = torch.randperm(len(integers), generator=torch.Generator().manual_seed(1))[:100_001]
    assert torch.equal(integers[scattered].div_(grid.white), values[scattered])
    assert all(float(integers[i] / grid.white) == float(values[i]) for i in scattered[:1_000])
    assert (values.diff() >= 0).all()


@pytest.mark.parametrize(("grid", "sigma"), [(Grid(8, ZIGGURAT), 18.0), (Grid(6), 2.0)])
def test_sums_stand_on_the_grid(grid: Grid, sigma: float) -> None:
    noisy = grid.noisy(GREY, Gaussian(sigma), STREAM, first=0, count=2_000).double() * grid.white
    assert (noisy - torch.round(noisy)).abs().max() < 0.5  # rounding to float32 never reaches a neighbour
    shown = torch.round(noisy).numpy().reshape(-1, 16)
    np.testing.assert_array_equal(shown, integers(grid, Gaussian(sigma), count=2_000) + (128 << grid.bits))


def test_images_of_8_bits_are_clipped_to_what_a_file_can_hold() -> None:
    noisy = Grid(0).noisy(GREY, Gaussian(1.0), STREAM, first=0, count=500)
    assert noisy.dtype == torch.uint8
    assert (int(noisy.min()), int(noisy.max())) == (0, 255)
    exact = integers(Grid(0), Gaussian(1.0), count=500)
    np.testing.assert_array_equal(noisy.numpy().reshape(-1, 16), np.clip(exact + 128, 0, 255))


def test_images_on_the_fine_grid_are_not_clipped() -> None:
    noisy = Grid(1).noisy(GREY, Gaussian(1.0), STREAM, first=0, count=500)
    assert noisy.dtype == torch.float32
    assert noisy.min() < -1
    assert noisy.max() > 2


def test_noise_too_strong_for_exact_sums_is_refused() -> None:
    then = Grid(8, ZIGGURAT)
    then.check(Gaussian(18.0))
    with pytest.raises(ValueError, match="`sigma` must be below 18.6 on a grid of 8 extra bits, got 19.0"):
        then.check(Gaussian(19.0))
    Grid(0, ZIGGURAT).check(Gaussian(1_000.0))


def test_noise_of_too_many_cells_is_refused() -> None:
    Grid(1).check(Gaussian(200.0))
    with pytest.raises(ValueError, match="`sigma` must be below 22[0-9].[0-9] on a grid of 1 extra bits, got 1000.0"):
        Grid(1).check(Gaussian(1_000.0))


@pytest.mark.parametrize("bits", [0, 4, 8, 12])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_strongest_noise_that_is_allowed_cannot_leave_the_exact_range(bits: int, algorithm: str) -> None:
    grid = Grid(bits, algorithm)
    allowed = max(sigma for sigma in np.geomspace(1e-3, 1e5, 2_000) if _allows(grid, sigma))
    ziggurat_tail = 3.6541528853610088 - math.log(2.0**-53) / 3.6541528853610088
    largest = grid.white * ziggurat_tail * allowed
    if algorithm == CELLS:
        largest = largest_integer(Gaussian(allowed), grid.white)
    assert grid.white + largest < 2**24


def _allows(grid: Grid, sigma: float) -> bool:
    try:
        grid.check(Gaussian(sigma))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("algorithm", "most"), [(CELLS, 1e-8), (ZIGGURAT, 1e-4)])
def test_the_distance_to_ideal_noise_is_tiny_positive_and_adds_up_over_values(algorithm: str, most: float) -> None:
    grid, noise = Grid(8, algorithm), Gaussian(1.0)
    one = grid.total_variation(noise, 1)
    assert 0 < one < 1e-8
    assert grid.total_variation(noise, 150_528) == pytest.approx(150_528 * one)
    assert grid.total_variation(noise, 150_528) < most  # an ImageNet image
    assert Grid(0, algorithm).total_variation(noise, 1) < one < grid.total_variation(Gaussian(2.0), 1)
