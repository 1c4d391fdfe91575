"""Noisy accuracy on fixed draws: the same images under the same noise, whatever stands before the oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.noise import Gaussian, Grid
from bbsmooth.tuning import NoisyImages
from experiments.tuning.worlds import Labelled
from oracles import Oracle

GRID = Grid(1)
SEED = 1
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better one is than another on the same draws, in points, with the standard error over images."""

    points: float
    error: float


def correct(oracle: Oracle, images: Labelled, *, sigma: float, draws: int) -> Tensor:
    """(N,) share of an image's draws that were answered rightly."""
    noisy = NoisyImages(
        images=images.images, labels=images.labels, noise=Gaussian(sigma), grid=GRID, seed=SEED, purpose="paired"
    )
    right = torch.zeros(len(noisy))
    for draw in range(draws):
        for first in range(0, len(noisy), _CHUNK):
            indices = list(range(first, min(first + _CHUNK, len(noisy))))
            answers = oracle.query(noisy.draw(indices, [draw] * len(indices)))
            right[indices] += (answers.labels == images.labels[indices]).float() / draws
    return right


def gain(after: Tensor, before: Tensor) -> Gain:
    """Of `after` (N,) over `before` (N,)."""
    difference = 100 * (after - before).double()
    return Gain(float(difference.mean()), float(difference.std()) / math.sqrt(len(difference)))
