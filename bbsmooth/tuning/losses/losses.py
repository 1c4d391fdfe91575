"""Losses that tuning makes small: of the oracle's probabilities, and of a local surrogate's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

FLOOR = 1e-3
"""Probabilities below this count as this: no single answer may cost more than -log(FLOOR) = 6.9."""


class Loss(Protocol):
    """A loss of one answer."""

    def __call__(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """(B, K) probabilities and (B,) true classes -> (B,) losses, differentiable almost everywhere."""
        ...


def own_probabilities(probabilities: Tensor, truth: Tensor) -> Tensor:
    """(B,) the true classes' among probabilities (B, K)."""
    return probabilities.gather(1, truth[:, None])[:, 0]


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """-log of the true class's probability, bounded through `FLOOR`."""

    def __call__(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """Losses (B,): the negative logarithms of the true classes' probabilities."""
        return -own_probabilities(probabilities, truth).clamp(min=FLOOR).log()


@dataclass(frozen=True, slots=True)
class Margin:
    """The best other class's probability less that of the true one: below 0 where the answer is right."""

    def __call__(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """Losses (B,): the largest probability of another class, less that of the true one."""
        others = probabilities.scatter(1, truth[:, None], -math.inf)
        return others.amax(1) - own_probabilities(probabilities, truth)


@dataclass(frozen=True, slots=True)
class SoftRadius:
    """-Phi^-1(probability of the true class), the negative radius in units of sigma, from each draw's own belief.

    A soft classifier's radius is sigma * Phi^-1(mean over draws); this is the mean of Phi^-1 over draws instead, which
    needs one draw an image. Between `FLOOR` and 1 - `FLOOR`. After Salman et al., NeurIPS 2019; Zhai et al., ICLR 2020.
    """

    def __call__(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """Losses (B,): the negative normal quantiles of the true classes' probabilities."""
        quantiles: Tensor = torch.special.ndtri(own_probabilities(probabilities, truth).clamp(FLOOR, 1 - FLOOR))
        return -quantiles


@dataclass(frozen=True, slots=True)
class Mistakes:
    """1 less the true class's probability; from labels alone 1 for a mistake, 0 else.

    The mean of the latter over images and noise is a smooth function of the parameters, though each one is a step.
    """

    def __call__(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """Losses (B,): 1 less the true classes' probabilities."""
        return 1 - own_probabilities(probabilities, truth)
