import pytest
import torch

from bbsmooth.randomness import fork
from bbsmooth.tuning import Directions, Leading, Normal, Rademacher, SegmentedUniform, Sphere

DIRECTIONS: list[Directions] = [Rademacher(), SegmentedUniform(), Normal(), Sphere(), Leading(Rademacher(), 9)]


@pytest.mark.parametrize("directions", DIRECTIONS, ids=repr)
def test_dual_and_direction_are_the_identity_on_average(directions: Directions) -> None:
    probes = [directions.sample(3, generator=fork(seed)) for seed in range(4_000)]
    products = torch.stack([torch.outer(probe.dual, probe.direction) for probe in probes]).double()
    standard_error = products.std(0) / len(products) ** 0.5
    assert ((products.mean(0) - torch.eye(3)).abs() <= 4 * standard_error + 1e-6).all()


def test_coordinates_lie_where_they_should() -> None:
    size = 10_000
    signs = Rademacher().sample(size, generator=fork(0)).direction
    assert set(signs.tolist()) == {-1.0, 1.0}
    segments = SegmentedUniform().sample(size, generator=fork(0))
    assert segments.direction.abs().min() >= 0.5
    assert segments.direction.abs().max() <= 1
    assert segments.direction.abs().mean().item() == pytest.approx(0.75, abs=0.01)
    assert segments.direction.sign().mean().item() == pytest.approx(0, abs=0.04)
    torch.testing.assert_close(segments.dual * segments.direction, torch.ones(size))
    assert Sphere().sample(size, generator=fork(0)).direction.norm().item() == pytest.approx(1, rel=1e-5)
    assert Normal().sample(size, generator=fork(0)).direction.std().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("directions", DIRECTIONS, ids=repr)
def test_a_generator_decides_everything(directions: Directions) -> None:
    once, again = (directions.sample(7, generator=fork(3)) for _ in range(2))
    assert torch.equal(once.direction, again.direction)
    assert once.direction.dtype == torch.float32


def test_leading_coordinates_alone_are_probed() -> None:
    probe = Leading(SegmentedUniform(), 3).sample(5, generator=fork(0))
    inner = SegmentedUniform().sample(3, generator=fork(0))
    assert torch.equal(probe.direction, torch.cat([inner.direction, torch.zeros(2)]))
    assert torch.equal(probe.dual, torch.cat([inner.dual, torch.zeros(2)]))
    with pytest.raises(ValueError, match="at least 1"):
        Leading(Normal(), 0)
