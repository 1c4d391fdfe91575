"""Spaces of changes to an image, each with an orthonormal basis: rows for the height times rows for the width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bbsmooth.coordinator.dct import cosines


class Basis(Protocol):
    """Orthonormal patterns along one side of an image."""

    def rows(self, side: int) -> Tensor:
        """(k, side) float32 with orthonormal rows, k at most `side`."""
        ...


@dataclass(frozen=True, slots=True)
class Cosines:
    """The lowest rows of the orthonormal DCT-II: smooth changes.

    Args:
        frequencies: how many, at most the image's side.

    Raises:
        ValueError: none.
    """

    frequencies: int

    def __post_init__(self) -> None:
        """Refuse an empty basis."""
        _require(self.frequencies)

    def rows(self, side: int) -> Tensor:
        """Rows (k, side), orthonormal: cosines of the frequencies, k at most `side`."""
        return cosines(side, self.frequencies)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Flat squares of pixels; the last one is smaller where the side is no multiple.

    Args:
        size: pixels a side; 1 for single pixels, the whole space.

    Raises:
        ValueError: less than a pixel.
    """

    size: int

    def __post_init__(self) -> None:
        """Refuse blocks without pixels."""
        _require(self.size)

    def rows(self, side: int) -> Tensor:
        """Rows (k, side), orthonormal: the normalised indicators of the k blocks."""
        block = torch.arange(side) // self.size
        inside = (block == torch.arange(int(block[-1]) + 1).view(-1, 1)).float()
        return inside / inside.sum(1, keepdim=True).sqrt()


def _require(number: int) -> None:
    if number < 1:
        raise ValueError(f"a basis needs a size of at least 1, got {number}")


@dataclass(frozen=True, slots=True)
class Patterns:
    """A basis laid over images of one shape, each channel by itself.

    Args:
        basis: along each side.
        shape: (C, H, W) of the images.
    """

    basis: Basis
    shape: tuple[int, int, int]

    @property
    def dimensions(self) -> int:
        """D, of the space."""
        channels, height, width = self.shape
        return channels * len(self.basis.rows(height)) * len(self.basis.rows(width))

    def expand(self, coefficients: Tensor) -> Tensor:
        """(B, D) -> (B, C, H, W) of the same lengths."""
        rows, columns = (self.basis.rows(side) for side in self.shape[1:])
        grid = coefficients.view(-1, self.shape[0], len(rows), len(columns))
        return rows.T @ grid @ columns
