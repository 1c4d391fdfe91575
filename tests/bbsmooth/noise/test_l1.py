"""Laplace and uniform noise, which prove L1 radii."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare, laplace, uniform

from bbsmooth.noise import DISTRIBUTIONS, Grid, Laplace, NoiseDistribution, Norm, Uniform
from bbsmooth.randomness import Stream, name_digest

STREAM = Stream(name_digest(5, "l1"))
GREY = torch.full((1, 4, 4), 128, dtype=torch.uint8)


def steps(noise: NoiseDistribution, grid: Grid, count: int) -> NDArray[np.float64]:
    noisy = grid.noisy(GREY, noise, STREAM, first=0, count=count).double().numpy().ravel()
    added: NDArray[np.float64] = np.rint(noisy * grid.white) - (128 << grid.bits)
    return added


@pytest.mark.parametrize(
    ("noise", "ideal"),
    [
        (Laplace(0.5), laplace(scale=0.5 / math.sqrt(2))),
        (Uniform(0.5), uniform(loc=-math.sqrt(0.75), scale=2 * math.sqrt(0.75))),
    ],
)
def test_the_noise_on_the_grid_is_the_rounded_distribution(noise: NoiseDistribution, ideal: object) -> None:
    grid = Grid(2)
    observed = steps(noise, grid, 10_000)
    quantiles = np.rint(ideal.ppf(np.linspace(0, 1, 101)[1:-1]) * grid.white) + 0.5  # type: ignore[attr-defined]
    edges = np.concatenate([[-np.inf], quantiles, [np.inf]])
    probabilities = np.diff(ideal.cdf(edges / grid.white))  # type: ignore[attr-defined]
    assert chisquare(np.histogram(observed, bins=edges)[0], probabilities * len(observed)).pvalue > 1e-3
    assert np.abs(observed).max() <= noise.largest * grid.white + 1


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_sigma_is_the_standard_deviation(name: str) -> None:
    observed = steps(DISTRIBUTIONS[name](0.3), Grid(2), 20_000) / Grid(2).white
    assert observed.std() == pytest.approx(0.3, rel=0.01)
    assert abs(observed.mean()) < 4 * 0.3 / math.sqrt(observed.size)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("radius", [0.01, 0.2, 0.4])
def test_radius_and_probability_are_inverse(name: str, radius: float) -> None:
    noise = DISTRIBUTIONS[name](0.5)
    assert noise.radius(noise.probability(radius)) == pytest.approx(radius)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("p_lower", [0.0, 0.3, 0.5, math.nan])
def test_nothing_is_proven_without_a_majority(name: str, p_lower: float) -> None:
    assert DISTRIBUTIONS[name](0.5).radius(p_lower) == 0


def test_the_laplace_radius_is_tight_for_a_threshold_in_one_pixel() -> None:
    """A classifier that looks whether one pixel exceeds a threshold: its smoothed class changes at the threshold."""
    noise, distance = Laplace(0.5), 0.37
    p = laplace(scale=noise.scale).cdf(distance)
    assert noise.norm is Norm.L1
    assert noise.radius(float(p)) == pytest.approx(distance)


def test_the_uniform_radius_is_tight_for_a_threshold_in_one_pixel() -> None:
    noise, distance = Uniform(0.5), 0.37
    assert noise.radius(0.5 + distance / (2 * noise.reach)) == pytest.approx(distance)


def test_the_uniform_radius_between_two_classes_is_tight_for_two_thresholds_in_one_pixel() -> None:
    """One pixel, three classes: below a, between a and b, above b. Shifting it moves the outer two together."""
    noise, low, high = Uniform(0.5), -0.1, 0.3
    ideal = uniform(loc=-noise.reach, scale=2 * noise.reach)
    bottom, top = float(ideal.cdf(low)), float(ideal.sf(high))
    radius = noise.radius_between(bottom, top)
    assert ideal.cdf(low - radius) == pytest.approx(ideal.sf(high - radius))


def test_the_laplace_radius_between_two_classes_is_tight_for_two_thresholds_far_out() -> None:
    noise, low, high = Laplace(0.5), -0.4, 0.7
    ideal = laplace(scale=noise.scale)
    radius = noise.radius_between(float(ideal.cdf(low)), float(ideal.sf(high)))
    assert ideal.cdf(low - radius) == pytest.approx(ideal.sf(high - radius))


def test_the_laplace_radius_between_two_classes_is_tight_where_the_top_class_has_nearly_all() -> None:
    """The top class below b, the runner-up above b + 1e-3: here the second form of the theorem is the larger."""
    noise, low = Laplace(0.5), 0.4
    ideal = laplace(scale=noise.scale)
    radius = noise.radius_between(float(ideal.cdf(low)), float(ideal.sf(low)))
    assert radius == pytest.approx(noise.radius(float(ideal.cdf(low))))
    assert ideal.cdf(low - radius) == pytest.approx(ideal.sf(low - radius))
