"""Random directions to probe along, each with the dual that makes a difference quotient a gradient.

For a linear loss with slope s the quotient along direction u is <s, u>. Times a dual v with E[v u^T] = I it is s on
average, scale included. Every kind of direction below returns such a pair, so estimators need not know which one it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class ProbeDirection(NamedTuple):
    """A direction (P,) float32 and its dual (P,) float32, with E[dual direction^T] = I."""

    direction: Tensor
    dual: Tensor


class Directions(Protocol):
    """A distribution of directions."""

    def sample(self, size: int, *, generator: torch.Generator) -> ProbeDirection:
        """One direction in `size` dimensions, and its dual."""
        ...


@dataclass(frozen=True, slots=True)
class Rademacher:
    """Every coordinate -1 or 1, each half the time; the dual 1/u equals u. Spall, IEEE TAC 1992."""

    def sample(self, size: int, *, generator: torch.Generator) -> ProbeDirection:
        """A direction of random signs, which is its own dual."""
        direction = 2.0 * torch.randint(2, (size,), generator=generator) - 1.0
        return ProbeDirection(direction, direction)


@dataclass(frozen=True, slots=True)
class SegmentedUniform:
    """Every coordinate uniform on [-1, -1/2] u [1/2, 1]; the dual is 1/u, which is bounded. Spall 1992; BlackVIP."""

    def sample(self, size: int, *, generator: torch.Generator) -> ProbeDirection:
        """A direction of random signs times sizes between 0.5 and 1; the dual holds the reciprocals."""
        signs = 2.0 * torch.randint(2, (size,), generator=generator) - 1.0
        direction = signs * (0.5 + 0.5 * torch.rand(size, generator=generator))
        return ProbeDirection(direction, 1 / direction)


@dataclass(frozen=True, slots=True)
class Normal:
    """Standard normal coordinates; the dual is u itself, for 1/u has no mean. Nesterov & Spokoiny, FoCM 2017."""

    def sample(self, size: int, *, generator: torch.Generator) -> ProbeDirection:
        """A Gaussian direction, which is its own dual."""
        direction = torch.randn(size, generator=generator)
        return ProbeDirection(direction, direction)


@dataclass(frozen=True, slots=True)
class Sphere:
    """Uniform on the unit sphere; the dual is P u, as E[u u^T] = I / P. Flaxman, Kalai, McMahan, SODA 2005.

    Shorter than the others by sqrt(P): the probe radius is the distance itself.
    """

    def sample(self, size: int, *, generator: torch.Generator) -> ProbeDirection:
        """A direction uniform on the unit sphere; the dual is `size` times as long."""
        direction = torch.randn(size, generator=generator)
        direction /= direction.norm()
        return ProbeDirection(direction, size * direction)


@dataclass(frozen=True, slots=True)
class Leading:
    """Another kind of directions in the first coordinates; the others stay where they are.

    The estimate is then the gradient in those coordinates, and zero elsewhere.

    Args:
        directions: of those coordinates.
        count: how many there are.

    Raises:
        ValueError: less than one.
    """

    directions: Directions
    count: int

    def __post_init__(self) -> None:
        """Refuse to stand still."""
        if self.count < 1:
            raise ValueError(f"at least 1 coordinate must be probed, got {self.count}")

    def sample(self, size: int, *, generator: torch.Generator) -> ProbeDirection:
        """A direction of the inner kind and its dual in the first `count` dimensions, 0 in all others."""
        count = min(self.count, size)
        inner = self.directions.sample(count, generator=generator)
        return ProbeDirection(*(torch.cat([part, torch.zeros(size - count)]) for part in inner))
