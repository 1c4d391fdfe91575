"""Radii read in other norms, against half-spaces whose distance in every norm is known."""

import math
from itertools import product

import numpy as np
import pytest

from bbsmooth.noise import Norm, implied_radius

ORDER = {Norm.L1: 1.0, Norm.L2: 2.0, Norm.LINF: math.inf}
PAIRS = pytest.mark.parametrize(("norm", "wanted"), list(product(Norm, Norm)))
VALUES = 12


def distance(normal: np.ndarray, offset: float, norm: Norm) -> float:
    """From the origin to the plane <normal, x> = offset: by the dual norm (Hoelder)."""
    dual = {Norm.L1: math.inf, Norm.L2: 2.0, Norm.LINF: 1.0}[norm]
    return offset / float(np.linalg.norm(normal, dual))


@PAIRS
def test_no_implied_radius_exceeds_the_distance_of_any_plane(norm: Norm, wanted: Norm) -> None:
    generator = np.random.default_rng(0)
    single, equal = np.eye(VALUES)[3], np.ones(VALUES)
    ratios = []
    for normal in [single, equal, *generator.normal(size=(200, VALUES))]:
        proven = implied_radius(distance(normal, 0.7, norm), norm, wanted, values=VALUES)
        ratios.append(proven / distance(normal, 0.7, wanted))
    assert max(ratios) <= 1 + 1e-12
    assert max(ratios) == pytest.approx(1)  # one of the planes is met


def test_the_closed_forms() -> None:
    assert implied_radius(0.8, Norm.L2, Norm.L1, values=784) == 0.8
    assert implied_radius(0.8, Norm.L2, Norm.LINF, values=784) == pytest.approx(0.8 / 28)
    assert implied_radius(0.8, Norm.L1, Norm.L2, values=784) == pytest.approx(0.8 / 28)
    assert implied_radius(0.8, Norm.L1, Norm.LINF, values=784) == pytest.approx(0.8 / 784)


@PAIRS
def test_rounding_is_downwards(norm: Norm, wanted: Norm) -> None:
    radius, factor = 0.3, (3 ** max(0.0, 1 / ORDER[norm] - 1 / ORDER[wanted]))
    implied = implied_radius(radius, norm, wanted, values=3)
    assert implied <= radius / factor
    assert implied == pytest.approx(radius / factor, rel=1e-15)
