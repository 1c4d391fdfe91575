"""The cosine transform, as a matrix."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosines(side: int, count: int) -> Tensor:
    """(min(count, side), side) float32: the lowest rows of the orthonormal DCT-II matrix."""
    order = torch.arange(min(count, side)).view(-1, 1)
    waves = torch.cos(math.pi / side * order * (torch.arange(side) + 0.5)) * math.sqrt(2 / side)
    waves[0] /= math.sqrt(2)
    return waves
