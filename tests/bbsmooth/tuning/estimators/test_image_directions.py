import pytest
import torch

from bbsmooth.randomness import fork
from bbsmooth.tuning import CoordinateDirections, ImageDirections, OrthogonalDirections, RandomDirections

KINDS = [RandomDirections, OrthogonalDirections, CoordinateDirections]
DIMENSIONS = 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 3, 5])
def test_every_direction_has_unit_length_and_no_preference(kind: type[ImageDirections], count: int) -> None:
    draws = kind().sample(count, 20_000, DIMENSIONS, generator=fork(0))
    assert draws.shape == (count, 20_000, DIMENSIONS)
    torch.testing.assert_close(draws.norm(dim=2), torch.ones(count, 20_000))
    for direction in draws:
        second = direction.T @ direction / len(direction)
        torch.testing.assert_close(second, torch.eye(DIMENSIONS) / DIMENSIONS, atol=0.01, rtol=0)


@pytest.mark.parametrize("kind", [OrthogonalDirections, CoordinateDirections])
def test_no_direction_is_measured_twice(kind: type[OrthogonalDirections]) -> None:
    draws = kind().sample(4, 10, DIMENSIONS, generator=fork(1)).transpose(0, 1)
    torch.testing.assert_close(draws @ draws.mT, torch.eye(4).expand(10, 4, 4), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="5 orthogonal directions, not 6"):
        kind().sample(6, 1, DIMENSIONS, generator=fork(1))
