"""Consistency regularisation: Jeong & Shin (NeurIPS 2020), equation 7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives.objective import Model, by_draw, copies


@dataclass(frozen=True, slots=True)
class Consistency:
    """Cross-entropy + lambda E[KL(F_mean || F(x + e))] + eta H(F_mean), F_mean being the mean answer to the copies.

    Args:
        draws: noisy copies of an image (m).
        weight: lambda; None for what the paper takes on CIFAR-10, 20 up to sigma 0.25 and 10 above.
        entropy_weight: eta.
    """

    draws: int = 2
    weight: float | None = None
    entropy_weight: float = 0.5
    name: ClassVar[str] = "consistency"

    def loss(self, model: Model, images: Tensor, labels: Tensor, noising: Noising, *, trained: float) -> Tensor:
        """Mean over the batch."""
        clean = copies(images, self.draws)
        logits = model(clean + noising.like(clean))
        logs = by_draw(logits.log_softmax(1), self.draws)
        mean = logs.exp().mean(0)
        log_mean = logs.logsumexp(0) - logs.new_tensor(self.draws).log()
        entropy = -(mean * log_mean).sum(1).mean()
        divergence = (mean * (log_mean - logs)).sum(2).mean()
        natural = F.cross_entropy(logits, labels.repeat(self.draws))
        total: Tensor = natural + self._weight(noising.noise.sigma) * divergence + self.entropy_weight * entropy
        return total

    def _weight(self, sigma: float) -> float:
        if self.weight is not None:
            return self.weight
        return 20.0 if sigma <= 0.25 else 10.0
