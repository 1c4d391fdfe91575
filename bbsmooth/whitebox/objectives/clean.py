"""Training on the images themselves: to adapt to new data first, before another training adapts to noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives.objective import Model


@dataclass(frozen=True, slots=True)
class Clean:
    """Cross-entropy of the image without noise: -log F_y(x)."""

    name: ClassVar[str] = "clean"

    def loss(self, model: Model, images: Tensor, labels: Tensor, noising: Noising, *, trained: float) -> Tensor:
        """See `Objective`; no noise is drawn."""
        return F.cross_entropy(model(images), labels)
