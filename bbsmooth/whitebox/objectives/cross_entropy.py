"""Cross-entropy of noisy images, and of the images themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives.objective import Model


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Cross-entropy of one noisy copy: E[-log F_y(x + e)]. Cohen, Rosenfeld, Kolter (ICML 2019), section 3.3."""

    name: ClassVar[str] = "augmentation"

    def loss(self, model: Model, images: Tensor, labels: Tensor, noising: Noising, *, trained: float) -> Tensor:
        """Mean over the batch."""
        return F.cross_entropy(model(images + noising.like(images)), labels)


@dataclass(frozen=True, slots=True)
class Clean:
    """Cross-entropy of the image without noise: -log F_y(x). To adapt to new data before adapting to noise."""

    name: ClassVar[str] = "clean"

    def loss(self, model: Model, images: Tensor, labels: Tensor, noising: Noising, *, trained: float) -> Tensor:
        """Mean over the batch; no noise is drawn."""
        return F.cross_entropy(model(images), labels)
