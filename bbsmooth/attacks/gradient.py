"""Projected gradient ascent with an expectation over noise, for models whose gradients one has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bbsmooth.attacks.target import WHITE, SmoothedTarget, beyond, on_grid
from bbsmooth.noise import NoiseDistribution
from bbsmooth.randomness import fork, image_digest
from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives import Model, SmoothAdversarial


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientAttack:
    """SmoothAdv's attack (Salman et al., NeurIPS 2019, section 2.2): ascent of -log of the mean probability.

    It is run within a ball of each radius, and an image is a candidate where the votes turn away from the label.

    Args:
        model: images (B, C, H, W) to logits; differentiable.
        noise: of the smoothed classifier.
        radii: of the L2 balls, ascending.
        steps: of the ascent.
        draws: noisy copies in one step.
    """

    model: Model
    noise: NoiseDistribution
    radii: tuple[float, ...]
    steps: int
    draws: int
    name: ClassVar[str] = "gradient"

    def candidates(self, target: SmoothedTarget, image: Tensor, label: int, *, seed: int) -> Iterator[Tensor]:
        """Candidates, as `Attack` says. Balls are tried by size until one holds some; images behind them follow."""
        clean = image[None].float() / WHITE
        noising = Noising(self.noise, fork(seed, "attack", self.name, image_digest(image)))
        ascent = SmoothAdversarial(steps=self.steps, draws=self.draws)
        for radius in self.radii:
            noise = noising.like(clean.repeat(self.draws, 1, 1, 1))
            with torch.enable_grad():
                moved = ascent.attack(self.model, clean, torch.tensor([label]), noise, radius=radius)
            candidate = on_grid(image, moved[0].detach())
            if bool(target.misclassified(candidate[None], label)):
                yield from beyond(image, candidate)
                return
