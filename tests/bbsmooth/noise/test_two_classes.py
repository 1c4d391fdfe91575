"""Radii from the probabilities of two classes, for every distribution."""

import math

import pytest
from scipy.stats import norm

from bbsmooth.noise import DISTRIBUTIONS, Gaussian

NAMES = pytest.mark.parametrize("name", DISTRIBUTIONS)


@NAMES
@pytest.mark.parametrize("p_lower", [0.51, 0.7, 0.99, 1 - 1e-9])
def test_with_all_the_rest_in_one_class_it_is_the_radius_for_one_class(name: str, p_lower: float) -> None:
    noise = DISTRIBUTIONS[name](0.5)
    assert noise.radius_between(p_lower, 1 - p_lower) == pytest.approx(noise.radius(p_lower), rel=1e-6)


@NAMES
def test_a_weaker_runner_up_proves_more(name: str) -> None:
    noise = DISTRIBUTIONS[name](0.5)
    radii = [noise.radius_between(0.6, p_upper) for p_upper in (0.4, 0.2, 0.1, 0.01)]
    assert radii == sorted(radii)
    assert len(set(radii)) == len(radii)


@NAMES
@pytest.mark.parametrize(
    ("p_lower", "p_upper"), [(0.3, 0.3), (0.3, 0.4), (math.nan, 0.1), (0.7, math.nan), (1.0, 0.1), (0.7, 0.0)]
)
def test_nothing_is_proven_without_a_lead(name: str, p_lower: float, p_upper: float) -> None:
    assert DISTRIBUTIONS[name](0.5).radius_between(p_lower, p_upper) == 0


@NAMES
def test_the_largest_class_is_proven_without_a_majority(name: str) -> None:
    assert DISTRIBUTIONS[name](0.5).radius_between(0.4, 0.2) > 0


def test_the_gaussian_radius_is_tight_for_two_half_spaces() -> None:
    """Class A below -0.2 along one direction, class B above 0.5, a third between: they meet where theory says."""
    noise = Gaussian(0.25)
    radius = noise.radius_between(float(norm.cdf(-0.2 / 0.25)), float(norm.sf(0.5 / 0.25)))
    assert radius == pytest.approx((0.5 - 0.2) / 2)
    assert norm.cdf((-0.2 - radius) / 0.25) == pytest.approx(norm.sf((0.5 - radius) / 0.25))
