"""Differences at what the local part proposes, and the chain rule through the local part.

The network in front of the oracle is one's own: only the step from what it proposes to the loss is a black box. So
probe there, each image along directions of its own, and back-propagate the estimate locally (Zhang et al., ICLR 2022,
equations 6 and 7). Each answer then says something about its own image, where a probe of the parameters learns one
number from a whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.tuning.bases import Basis, Patterns
from bbsmooth.tuning.gradients import GradientEstimate, ImageObjective
from bbsmooth.tuning.image_directions import ImageDirections


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDifferences:
    """For each image x the mean over u of D <slope of L along u> u, times dx/dz, averaged over images.

    x is what the coordinator proposes: an image, or a latent. u is a unit direction in the basis's D dimensions, so the
    estimate is the gradient's projection on them: unbiased on linear losses with a slope in that space. The slope is
    (L(x + c u) - L(x - c u)) / (2 c), or (L(x + c u) - L(x)) / c. The probe radius c is the L2 length of the change.
    Random directions give the RGE, all coordinates the CGE of Zhang et al., equations 3 and 4.

    Args:
        basis: that directions lie in.
        directions: of each image.
        two_sided: whether both sides are probed: two evaluations a direction, else one and one at the middle.
    """

    basis: Basis
    directions: ImageDirections
    two_sided: bool = True

    @property
    def evaluations(self) -> int:
        """See `GradientEstimator.evaluations`."""
        return 2 * self.directions.count if self.two_sided else self.directions.count + 1

    def estimate(
        self, objective: ImageObjective, at: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> GradientEstimate:
        """See `GradientEstimator.estimate`."""
        with torch.enable_grad():
            parameters = at.detach().clone().requires_grad_(True)
            proposed = objective.propose(parameters)
        slope, loss = self.slope(objective, proposed.detach(), probe_radius=probe_radius, generator=generator)
        (gradient,) = torch.autograd.grad(proposed, parameters, slope / len(slope))
        return GradientEstimate(gradient, loss)

    def slope(
        self, objective: ImageObjective, proposed: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> tuple[Tensor, float]:
        """Of each image's loss in what was proposed (B, C, H, W), and the mean of all losses asked for."""
        batch, channels, height, width = proposed.shape
        patterns = Patterns(self.basis, (channels, height, width))
        middle = None if self.two_sided else objective.losses_at(proposed)
        total, seen = torch.zeros_like(proposed), [] if middle is None else [middle]
        for coefficients in self.directions.sample(batch, patterns.dimensions, generator=generator):
            direction = patterns.expand(coefficients)
            above = objective.losses_at(proposed + probe_radius * direction)
            if middle is None:
                below = objective.losses_at(proposed - probe_radius * direction)
                differences, seen = (above - below) / (2 * probe_radius), [*seen, above, below]
            else:
                differences, seen = (above - middle) / probe_radius, [*seen, above]
            total += differences.view(-1, 1, 1, 1) * direction
        return total * (patterns.dimensions / self.directions.count), float(torch.stack(seen).mean())
