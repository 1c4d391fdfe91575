"""Adversarial training of the smoothed classifier: SmoothAdv, Salman et al. (NeurIPS 2019), section 2.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives.objective import Model, by_draw, copies

RADIUS, STEPS = 127 / 255, 2
"""Of the L2 ball, and of the ascent in it."""


@dataclass(frozen=True, slots=True)
class SmoothAdversarial:
    """Cross-entropy at the image, within an L2 ball, that the smoothed classifier likes least.

    The image is found by projected gradient ascent of -log(mean_i F_y(x' + e_i)) over a few draws e_i, and trained on
    with the same draws.

    Args:
        radius: of the ball, grown linearly over the first `warm_up` of the training.
        steps: of the ascent, each 2 radius / steps long.
        draws: m.
        warm_up: share of the training.
    """

    radius: float = RADIUS
    steps: int = STEPS
    draws: int = 2
    warm_up: float = 1 / 15
    name: ClassVar[str] = "smoothadv"

    def loss(self, model: Model, images: Tensor, labels: Tensor, noising: Noising, *, trained: float) -> Tensor:
        """Mean over the batch, at the attacked images."""
        noise = noising.like(copies(images, self.draws))
        radius = self.radius * min(1.0, trained / self.warm_up)
        attacked = self.attack(model, images, labels, noise, radius=radius) if radius > 0 else images
        return F.cross_entropy(model(copies(attacked, self.draws) + noise), labels.repeat(self.draws))

    def attack(self, model: Model, images: Tensor, labels: Tensor, noise: Tensor, *, radius: float) -> Tensor:
        """Images (B, C, H, W) within `radius` and [0, 1] on which the mean answer to the draws is worst.

        Args:
            model: the classifier.
            images: (B, C, H, W).
            labels: (B,).
            noise: (m * B, C, H, W), draw by draw.
            radius: of the L2 ball.
        """
        moved = torch.zeros_like(images)
        for _ in range(self.steps):
            moved.requires_grad_(True)
            logits = model(copies(images + moved, self.draws) + noise)
            likelihoods = by_draw(logits.log_softmax(1), self.draws).logsumexp(0)
            loss = F.nll_loss(likelihoods, labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, moved)
            moved = ascended(moved.detach(), gradient, radius=radius, step=2 * radius / self.steps)
            moved = (images + moved).clamp(0, 1) - images
        return images + moved


def ascended(moved: Tensor, gradient: Tensor, *, radius: float, step: float) -> Tensor:
    """(B, C, H, W) where a step of this length along the gradient leads, and back onto the L2 ball if out of it."""
    moved = moved + step * gradient / norms(gradient).clamp_min(1e-12)
    return moved * (radius / norms(moved).clamp_min(1e-12)).clamp_max(1)


def norms(values: Tensor) -> Tensor:
    """(B, 1, 1, 1) L2 norms of images."""
    found: Tensor = torch.linalg.vector_norm(values, dim=(1, 2, 3), keepdim=True)
    return found
