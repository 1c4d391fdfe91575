"""Unit directions for many images at once, such that a sum of slopes is a gradient.

With unit directions u of E[u u^T] = I / D, the mean over q of them of D <s, u> u is the slope s on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class ImageDirections(Protocol):
    """Directions of unit length, with E[u u^T] = I / D for each of them."""

    @property
    def count(self) -> int:
        """How many an image, q."""
        ...

    def sample(self, images: int, dimensions: int, *, generator: torch.Generator) -> Tensor:
        """(q, images, D).

        Raises:
            ValueError: more directions than `dimensions`, for kinds that cannot repeat themselves.
        """
        ...


def _require(count: int) -> None:
    if count < 1:
        raise ValueError(f"an image needs at least 1 direction, got {count}")


def _limit(count: int, dimensions: int) -> None:
    if count > dimensions:
        raise ValueError(f"there are {dimensions} orthogonal directions, not {count}; use fewer or a larger basis")


@dataclass(frozen=True, slots=True)
class RandomDirections:
    """Independent, uniform on the unit sphere (RGE).

    Args:
        count: an image.

    Raises:
        ValueError: none.
    """

    count: int

    def __post_init__(self) -> None:
        """Refuse an empty mean."""
        _require(self.count)

    def sample(self, images: int, dimensions: int, *, generator: torch.Generator) -> Tensor:
        """See `ImageDirections.sample`."""
        draws = torch.randn(self.count, images, dimensions, generator=generator)
        return F.normalize(draws, dim=2)


@dataclass(frozen=True, slots=True)
class OrthogonalDirections:
    """Uniform on the unit sphere and orthogonal to each other: no direction is measured twice; q = D is exact.

    Choromanski et al., ICML 2018 (structured evolution strategies).

    Args:
        count: an image.

    Raises:
        ValueError: none.
    """

    count: int

    def __post_init__(self) -> None:
        """Refuse an empty mean."""
        _require(self.count)

    def sample(self, images: int, dimensions: int, *, generator: torch.Generator) -> Tensor:
        """See `ImageDirections.sample`."""
        _limit(self.count, dimensions)
        draws = torch.randn(images, dimensions, self.count, generator=generator)
        columns: Tensor = torch.linalg.qr(draws).Q
        return columns.permute(2, 0, 1)


@dataclass(frozen=True, slots=True)
class CoordinateDirections:
    """Axes of the basis, each at most once (CGE); q = D is exact.

    Args:
        count: an image.

    Raises:
        ValueError: none.
    """

    count: int

    def __post_init__(self) -> None:
        """Refuse an empty mean."""
        _require(self.count)

    def sample(self, images: int, dimensions: int, *, generator: torch.Generator) -> Tensor:
        """See `ImageDirections.sample`."""
        _limit(self.count, dimensions)
        chosen = torch.rand(images, dimensions, generator=generator).argsort(1)[:, : self.count]
        return F.one_hot(chosen.T, dimensions).float()
