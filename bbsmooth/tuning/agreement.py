"""The oracle's own answer to the clean image as the truth: tuning without a label."""

from __future__ import annotations

import torch
from torch import Tensor

from bbsmooth.randomness import image_digest, name_digest
from bbsmooth.tuning.objective import QUESTION
from bbsmooth.tuning.together import Ask, Question, Together, one_by_one

SHARE = 0.1
"""Of a budget, that may be spent on clean images, at most."""


def affordable(queries: int) -> int:
    """How many clean images a budget of `queries` may be spent on: each costs one, at least 2 are needed."""
    return max(2, int(SHARE * queries))


def clean_labels(images: Tensor, ask: Ask, together: Together = one_by_one) -> Tensor:
    """(N,) int64: what the oracle calls the clean images (N, C, H, W) uint8. Costs N queries."""
    told = together(ask, (_question(part) for part in torch.split(images, QUESTION)))
    return torch.cat([answers.labels for answers in told])


def _question(images: Tensor) -> Question:
    return images.float() / 255, name_digest(0, "tune", "clean", *(image_digest(image) for image in images))
