import math
from typing import Any

import pytest
from scipy.special import log_ndtr
from scipy.stats import norm

from bbsmooth.noise import Gaussian


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf, "0.5", None])
def test_a_sigma_that_gives_no_noise_is_refused(sigma: Any) -> None:
    with pytest.raises(ValueError, match="`sigma` must be a positive number"):
        Gaussian(sigma)


@pytest.mark.parametrize("p_lower", [0.5 + 1e-12, 0.6, 0.9, 0.99999, 1 - 1e-12])
def test_the_radius_is_the_quantile_of_the_normal(p_lower: float) -> None:
    assert Gaussian(0.25).radius(p_lower) == pytest.approx(0.25 * norm.ppf(p_lower), rel=1e-12)


@pytest.mark.parametrize("p_lower", [0.5, math.nextafter(0.5, 0), 0.0, -1.0, math.nan])
def test_nothing_is_proven_without_a_majority(p_lower: float) -> None:
    assert Gaussian(0.25).radius(p_lower) == 0.0


@pytest.mark.parametrize("radius", [0.01, 0.5, 1.0, 2.0])
def test_radius_and_probability_are_inverse(radius: float) -> None:
    noise = Gaussian(0.5)
    assert noise.probability(radius) == pytest.approx(math.exp(log_ndtr(radius / 0.5)), rel=1e-12)
    assert noise.radius(noise.probability(radius)) == pytest.approx(radius, rel=1e-9)
