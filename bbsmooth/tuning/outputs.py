"""Differences at the image that the oracle is shown, and the chain rule through the local network.

The network in front of the oracle is one's own: only the step from the shown image to the loss is a black box. So probe
there, each image along a smooth direction of its own, and back-propagate the estimate locally (Zhang et al., ICLR 2022,
section 4, do so at a latent). Each answer then says something about its own image, where a probe of the parameters
learns one number from a whole batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.tuning.gradients import GradientEstimate, ImageObjective


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDifferences:
    """For each image x the mean over u of (L(x + c u) - L(x - c u)) / (2 c) * D u, times dx/dz, averaged over images.

    u is uniform on the unit sphere of the D = C * frequencies^2 lowest cosine patterns (DCT-II), so the estimate is the
    gradient's projection on smooth changes: unbiased on linear losses with a smooth slope. Shown images are clipped to
    [0, 1], probes too. The probe radius c is the L2 length of the change, white = 1.

    Args:
        frequencies: cosine patterns a side, at most the image's side.
        num_directions: per image; each costs two evaluations.

    Raises:
        ValueError: a number below 1.
    """

    frequencies: int
    num_directions: int

    def __post_init__(self) -> None:
        """Refuse an empty mean and an empty basis."""
        if self.frequencies < 1 or self.num_directions < 1:
            raise ValueError(f"frequencies and num_directions must be at least 1, got {self}")

    @property
    def evaluations(self) -> int:
        """Two a direction."""
        return 2 * self.num_directions

    def estimate(
        self, objective: ImageObjective, at: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> GradientEstimate:
        """See `GradientEstimator.estimate`."""
        with torch.enable_grad():
            parameters = at.detach().clone().requires_grad_(True)
            shown = objective.show(parameters)
        fixed = shown.detach()
        toward, total = torch.zeros_like(fixed), 0.0
        for _ in range(self.num_directions):
            direction, dimensions = self._directions(fixed.shape, generator)
            above = objective.image_losses((fixed + probe_radius * direction).clamp(0, 1))
            below = objective.image_losses((fixed - probe_radius * direction).clamp(0, 1))
            slopes = dimensions * (above - below) / (2 * probe_radius)
            toward += slopes.view(-1, 1, 1, 1) * direction
            total += float((above + below).mean()) / 2
        (gradient,) = torch.autograd.grad(shown, parameters, toward / (self.num_directions * len(fixed)))
        return GradientEstimate(gradient, total / self.num_directions)

    def _directions(self, shape: torch.Size, generator: torch.Generator) -> tuple[Tensor, int]:
        """Unit directions of `shape` (B, C, H, W), one an image, and the dimension of the space they lie in."""
        batch, channels, height, width = shape
        rows, columns = cosines(height, self.frequencies), cosines(width, self.frequencies)
        size = (batch, channels, len(rows), len(columns))
        coefficients = torch.randn(size, generator=generator)
        coefficients /= coefficients.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        return rows.T @ coefficients @ columns, size[1] * size[2] * size[3]


def cosines(side: int, count: int) -> Tensor:
    """(min(count, side), side): the lowest rows of the orthonormal DCT-II matrix."""
    order = torch.arange(min(count, side)).view(-1, 1)
    waves = torch.cos(math.pi / side * order * (torch.arange(side) + 0.5)) * math.sqrt(2 / side)
    waves[0] /= math.sqrt(2)
    return waves
