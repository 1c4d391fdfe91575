from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from bbsmooth.randomness import fork
from bbsmooth.tuning import (
    Directions,
    ForwardDifference,
    GradientEstimate,
    Normal,
    Rademacher,
    SegmentedUniform,
    Sphere,
    Spsa,
)

Estimator = Spsa | ForwardDifference
DIRECTIONS: list[Directions] = [Rademacher(), SegmentedUniform(), Normal(), Sphere()]
ESTIMATORS: list[Estimator] = [
    kind(directions=directions, num_directions=number)
    for kind in (Spsa, ForwardDifference)
    for directions in DIRECTIONS
    for number in (1, 3)
]
TWO_SIDED = [estimator for estimator in ESTIMATORS if isinstance(estimator, Spsa)]
SLOPE = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


@dataclass
class Function:
    """A loss with a known gradient: <slope, z> + curvature |z|^2 / 2."""

    slope: Tensor
    curvature: float = 0.0
    evaluations: int = 0

    def losses(self, points: Tensor) -> Tensor:
        self.evaluations += len(points)
        return points.double() @ self.slope + self.curvature * points.double().square().sum(1) / 2


def estimates(estimator: Estimator, function: Function, at: Tensor, *, radius: float) -> Tensor:
    draws = [
        estimator.estimate(function, at, probe_radius=radius, generator=fork(seed)).gradient for seed in range(2_000)
    ]
    return torch.stack(draws).double()


def assert_mean(draws: Tensor, expected: Tensor) -> None:
    standard_error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - expected).abs() <= 4 * standard_error + 1e-5).all()


@pytest.mark.parametrize("radius", [0.01, 1.0])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_estimate_is_unbiased_on_a_linear_loss(estimator: Estimator, radius: float) -> None:
    assert_mean(estimates(estimator, Function(SLOPE), torch.zeros(3), radius=radius), SLOPE)


@pytest.mark.parametrize("estimator", TWO_SIDED, ids=repr)
def test_two_sided_estimate_is_unbiased_on_a_quadratic_loss(estimator: Spsa) -> None:
    at = torch.tensor([1.0, 0.0, -3.0])
    assert_mean(estimates(estimator, Function(SLOPE, 2.0), at, radius=0.5), SLOPE + 2 * at)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_evaluations_are_those_that_are_made(estimator: Estimator) -> None:
    function = Function(SLOPE)
    estimator.estimate(function, torch.zeros(3), probe_radius=0.1, generator=fork(0))
    assert function.evaluations == estimator.evaluations


def test_averaging_over_directions_divides_the_variance() -> None:
    at = torch.zeros(3)
    one, nine = (
        estimates(Spsa(directions=Rademacher(), num_directions=number), Function(SLOPE), at, radius=0.1).var(0).sum()
        for number in (1, 9)
    )
    assert (one / nine).item() == pytest.approx(9, rel=0.15)


def test_loss_is_the_mean_of_what_was_seen() -> None:
    estimator = Spsa(directions=Rademacher(), num_directions=2)
    estimate = estimator.estimate(Function(SLOPE), torch.ones(3), probe_radius=0.1, generator=fork(0))
    assert isinstance(estimate, GradientEstimate)
    assert estimate.loss == pytest.approx(SLOPE.sum().item())


@pytest.mark.parametrize("kind", [Spsa, ForwardDifference])
def test_an_empty_mean_is_refused(kind: type[Estimator]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        kind(directions=Rademacher(), num_directions=0)
