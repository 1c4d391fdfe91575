"""Training on noisy images: Cohen, Rosenfeld, Kolter (ICML 2019), section 3.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives.objective import Model


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Cross-entropy of one noisy copy: E[-log F_y(x + e)]."""

    name: ClassVar[str] = "augmentation"

    def loss(self, model: Model, images: Tensor, labels: Tensor, noising: Noising, *, trained: float) -> Tensor:
        """See `Objective`."""
        return F.cross_entropy(model(images + noising.like(images)), labels)
