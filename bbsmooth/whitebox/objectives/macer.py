"""Attack-free training of the certified radius: MACER, Zhai et al. (ICLR 2020), equations 8 to 10."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives.objective import Model, by_draw, copies


@dataclass(frozen=True, slots=True)
class Macer:
    """Cross-entropy of the mean answer + lambda sigma / 2 max(0, gamma - (Phi^-1(z_y) - Phi^-1(max_{c != y} z_c))).

    The second part is the hinge of a soft certified radius, taken over the images that the mean answer gets right; z is
    the mean of softmax(beta * logits) over the draws.

    Args:
        draws: noisy copies of an image.
        weight: lambda.
        margin: gamma.
        sharpness: beta.
    """

    draws: int = 16
    weight: float = 12.0
    margin: float = 8.0
    sharpness: float = 16.0
    name: ClassVar[str] = "macer"

    def loss(self, model: Model, images: Tensor, labels: Tensor, noising: Noising, *, trained: float) -> Tensor:
        """Mean over the batch."""
        clean = copies(images, self.draws)
        logits = by_draw(model(clean + noising.like(clean)), self.draws)
        mean = logits.softmax(2).mean(0)
        natural = F.nll_loss(mean.clamp_min(torch.finfo(mean.dtype).tiny).log(), labels)
        return natural + self.weight * self._robustness(logits, labels, noising.noise.sigma)

    def _robustness(self, logits: Tensor, labels: Tensor, sigma: float) -> Tensor:
        """Mean hinge over all images of the batch, 0 for those that are wrong or whose radius is infinite in floats."""
        soft = (self.sharpness * logits).softmax(2).mean(0)
        own = soft.gather(1, labels[:, None])[:, 0]
        others = soft.scatter(1, labels[:, None], 0.0).amax(1)
        usable = (own > others) & (own < 1) & (others > 0)  # at 0 and 1 Phi^-1 and its gradient are infinite
        gap = torch.special.ndtri(own[usable]) - torch.special.ndtri(others[usable])
        return sigma / 2 * F.relu(self.margin - gap).sum() / len(labels)
