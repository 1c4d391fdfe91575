from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from bbsmooth.randomness import fork
from bbsmooth.tuning import (
    Basis,
    Blocks,
    CoordinateDirections,
    Cosines,
    ImageDirections,
    OrthogonalDirections,
    OutputDifferences,
    Patterns,
    RandomDirections,
)

SIDE = 6


@dataclass
class KnownImages:
    """Images mixing z, and the loss <slope, image> + curvature |image|^2 / 2: the gradient in z is known."""

    mixing: Tensor  # (B, C, H, W, P)
    slope: Tensor  # (B, C, H, W)
    curvature: float = 0.0
    asked: list[int] = field(default_factory=list)

    def propose(self, parameters: Tensor) -> Tensor:
        return self.mixing @ parameters

    def losses_at(self, proposed: Tensor) -> Tensor:
        self.asked.append(len(proposed))
        return (proposed * self.slope).sum((1, 2, 3)) + self.curvature * proposed.square().sum((1, 2, 3)) / 2

    def losses_of(self, variants: Iterable[Tensor]) -> Iterator[Tensor]:
        return map(self.losses_at, variants)

    def gradient(self, at: Tensor) -> Tensor:
        slope = self.slope + self.curvature * self.propose(at)
        return torch.einsum("bchwp,bchw->p", self.mixing, slope) / len(slope)


def known(basis: Basis, *, curvature: float = 0.0) -> KnownImages:
    """Mixing and slope lie in the space of `basis`, so that nothing of the gradient is out of reach."""
    patterns = Patterns(basis, (2, SIDE, SIDE))
    slope = patterns.expand(torch.randn(4, patterns.dimensions, generator=fork(1)))
    mixing = torch.stack(
        [patterns.expand(torch.randn(4, patterns.dimensions, generator=fork(2, part))) for part in range(3)], -1
    )
    return KnownImages(mixing, slope, curvature)


def estimates(estimator: OutputDifferences, objective: KnownImages, at: Tensor) -> Tensor:
    return torch.stack(
        [
            estimator.estimate(objective, at, probe_radius=0.1, generator=fork(seed)).gradient.double()
            for seed in range(1_000)
        ]
    )


def assert_mean(draws: Tensor, expected: Tensor) -> None:
    standard_error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - expected).abs() <= 4 * standard_error + 1e-4).all()


@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("directions", [RandomDirections(), OrthogonalDirections(), CoordinateDirections()], ids=repr)
@pytest.mark.parametrize("basis", [Cosines(3), Blocks(2), Blocks(1)], ids=repr)
def test_estimate_is_unbiased_on_a_linear_loss(basis: Basis, directions: ImageDirections, two_sided: bool) -> None:
    objective, at = known(basis), torch.tensor([0.3, -0.2, 1.0])
    estimator = OutputDifferences(basis=basis, directions=directions, num_directions=2, two_sided=two_sided)
    assert_mean(estimates(estimator, objective, at), objective.gradient(at).double())
    assert sum(objective.asked) == 4 * estimator.evaluations * 1_000


def test_two_sided_differences_are_unbiased_on_a_quadratic_loss() -> None:
    objective, at = known(Cosines(3), curvature=0.7), torch.tensor([0.3, -0.2, 1.0])
    estimator = OutputDifferences(basis=Cosines(3), directions=RandomDirections(), num_directions=1)
    assert_mean(estimates(estimator, objective, at), objective.gradient(at).double())


@pytest.mark.parametrize("kind", [OrthogonalDirections, CoordinateDirections])
def test_all_directions_of_a_space_give_the_gradient_itself(kind: type[CoordinateDirections]) -> None:
    objective, at = known(Cosines(2)), torch.tensor([0.3, -0.2, 1.0])
    estimator = OutputDifferences(basis=Cosines(2), directions=kind(), num_directions=8)
    found = estimator.estimate(objective, at, probe_radius=0.1, generator=fork(0)).gradient
    torch.testing.assert_close(found, objective.gradient(at), atol=1e-3, rtol=1e-3)


def test_orthogonal_directions_have_less_variance_than_random_ones() -> None:
    objective, at = known(Cosines(2)), torch.zeros(3)
    random, orthogonal = (
        estimates(OutputDifferences(basis=Cosines(2), directions=kind(), num_directions=6), objective, at).var(0).sum()
        for kind in (RandomDirections, OrthogonalDirections)
    )
    # With q of D directions: (1 - q / D) D / (D + 2) ... against 1 in leading order; here about a third.
    assert orthogonal < 0.5 * random


def test_loss_is_the_mean_of_what_was_seen() -> None:
    objective, at = known(Cosines(2)), torch.tensor([0.3, -0.2, 1.0])
    estimator = OutputDifferences(basis=Cosines(2), directions=RandomDirections(), num_directions=3)
    expected = objective.losses_at(objective.propose(at)).mean().item()
    assert estimator.estimate(objective, at, probe_radius=0.1, generator=fork(0)).loss == pytest.approx(
        expected, rel=1e-4
    )


def test_no_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        OutputDifferences(basis=Cosines(2), directions=RandomDirections(), num_directions=0)
