import pytest
import torch

from bbsmooth.randomness import fork
from bbsmooth.tuning import Basis, Blocks, Cosines, Patterns

BASES: list[Basis] = [Cosines(3), Cosines(100), Blocks(1), Blocks(4), Blocks(5)]


@pytest.mark.parametrize("basis", BASES, ids=repr)
@pytest.mark.parametrize("side", [7, 12])
def test_rows_are_orthonormal(basis: Basis, side: int) -> None:
    rows = basis.rows(side)
    torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-5, rtol=0)


def test_cosines_start_with_the_mean_and_blocks_are_flat() -> None:
    torch.testing.assert_close(Cosines(12).rows(12)[0], torch.full((12,), 12**-0.5))
    torch.testing.assert_close(Blocks(2).rows(3), torch.tensor([[0.5**0.5, 0.5**0.5, 0.0], [0.0, 0.0, 1.0]]))
    torch.testing.assert_close(Blocks(1).rows(4), torch.eye(4))


@pytest.mark.parametrize("basis", BASES, ids=repr)
def test_patterns_keep_lengths_and_fill_their_dimensions(basis: Basis) -> None:
    patterns = Patterns(basis, (2, 6, 9))
    images = patterns.expand(torch.eye(patterns.dimensions)).flatten(1)
    torch.testing.assert_close(images @ images.T, torch.eye(patterns.dimensions), atol=1e-5, rtol=0)
    coefficients = torch.randn(5, patterns.dimensions, generator=fork(0))
    torch.testing.assert_close(patterns.expand(coefficients).flatten(1).norm(dim=1), coefficients.norm(dim=1))


@pytest.mark.parametrize("kind", [Cosines, Blocks])
def test_an_empty_basis_is_refused(kind: type[Cosines] | type[Blocks]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        kind(0)
