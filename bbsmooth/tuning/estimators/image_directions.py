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

    def sample(self, count: int, images: int, dimensions: int, *, generator: torch.Generator) -> Tensor:
        """(count, images, D).

        Raises:
            ValueError: more directions than `dimensions`, for kinds that cannot repeat themselves.
        """
        ...


@dataclass(frozen=True, slots=True)
class RandomDirections:
    """Independent, uniform on the unit sphere (RGE)."""

    def sample(self, count: int, images: int, dimensions: int, *, generator: torch.Generator) -> Tensor:
        """Directions (count, images, D), each uniform on the unit sphere and independent of the others."""
        return F.normalize(torch.randn(count, images, dimensions, generator=generator), dim=2)


@dataclass(frozen=True, slots=True)
class OrthogonalDirections:
    """Uniform on the unit sphere and orthogonal to each other: no direction is measured twice; all D are exact.

    Choromanski et al., ICML 2018 (structured evolution strategies).
    """

    def sample(self, count: int, images: int, dimensions: int, *, generator: torch.Generator) -> Tensor:
        """Directions (count, images, D), random and orthonormal for each image."""
        _limit(count, dimensions)
        columns: Tensor = torch.linalg.qr(torch.randn(images, dimensions, count, generator=generator)).Q
        return columns.permute(2, 0, 1)


@dataclass(frozen=True, slots=True)
class CoordinateDirections:
    """Axes of the basis, each at most once (CGE); all D are exact."""

    def sample(self, count: int, images: int, dimensions: int, *, generator: torch.Generator) -> Tensor:
        """Directions (count, images, D): for each image, distinct coordinate axes at random."""
        _limit(count, dimensions)
        chosen = torch.rand(images, dimensions, generator=generator).argsort(1)[:, :count]
        return F.one_hot(chosen.T, dimensions).float()


def _limit(count: int, dimensions: int) -> None:
    if count > dimensions:
        raise ValueError(f"there are {dimensions} orthogonal directions, not {count}; use fewer or a larger basis")
