from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from bbsmooth.randomness import fork
from bbsmooth.tuning import Directions, GroupedSpsa, Normal, Rademacher, SegmentedUniform, Sphere, Spsa

SLOPES = torch.randn(12, 3, generator=fork(7)).double() + torch.tensor([1.0, -2.0, 0.5])


@dataclass
class Batch:
    """Twelve images, each with a linear loss of its own slope."""

    answered: int = 0
    num_images = len(SLOPES)

    def group_losses(self, points: Tensor) -> Tensor:
        self.answered += len(points) * len(SLOPES)
        parts = torch.tensor_split(SLOPES, points.shape[1])
        return torch.stack(
            [
                torch.stack([(part @ point.double()).mean() for part, point in zip(parts, own, strict=True)])
                for own in points
            ]
        )

    def losses(self, points: Tensor) -> Tensor:
        return points.double() @ SLOPES.mean(0)


def estimates(estimator: GroupedSpsa | Spsa) -> Tensor:
    draws = [
        estimator.estimate(Batch(), torch.zeros(3), probe_radius=0.1, generator=fork(seed)).gradient
        for seed in range(2_000)
    ]
    return torch.stack(draws).double()


@pytest.mark.parametrize("num_groups", [1, 4, 12])
@pytest.mark.parametrize("directions", [Rademacher(), SegmentedUniform(), Normal(), Sphere()], ids=repr)
def test_estimate_is_unbiased(directions: Directions, num_groups: int) -> None:
    draws = estimates(GroupedSpsa(directions=directions, num_groups=num_groups))
    standard_error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - SLOPES.mean(0)).abs() <= 4 * standard_error + 1e-5).all()


def test_groups_lower_the_variance_at_the_same_cost() -> None:
    batch = Batch()
    estimator = GroupedSpsa(directions=Rademacher(), num_groups=12)
    estimator.estimate(batch, torch.zeros(3), probe_radius=0.1, generator=fork(0))
    assert batch.answered == estimator.evaluations * len(SLOPES)
    shared = estimates(Spsa(directions=Rademacher(), num_directions=1)).var(0).sum()
    # Rademacher: the sum over coordinates of E[(u_i <g, u>)^2] - g_i^2 is 2 |g|^2 for one direction in 3 dimensions,
    # and the mean of that over images, divided by their number, for a direction each.
    assert (shared / (2 * SLOPES.mean(0).square().sum())).item() == pytest.approx(1, rel=0.1)
    own = 2 * SLOPES.square().sum(1).mean() / 12
    assert (estimates(estimator).var(0).sum() / own).item() == pytest.approx(1, rel=0.1)


def test_a_batch_of_fewer_images_has_a_direction_for_each() -> None:
    many, enough = (GroupedSpsa(directions=Rademacher(), num_groups=number) for number in (50, 12))
    found, expected = (
        each.estimate(Batch(), torch.zeros(3), probe_radius=0.1, generator=fork(0)) for each in (many, enough)
    )
    assert torch.equal(found.gradient, expected.gradient)


def test_no_group_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        GroupedSpsa(directions=Rademacher(), num_groups=0)
