"""Differences at what the local part proposes, and the chain rule through the local part.

The network in front of the oracle is one's own: only the step from what it proposes to the loss is a black box. So
probe there, each image along directions of its own, and back-propagate the estimate locally (Zhang et al., ICLR 2022,
equations 6 and 7). Each answer then says something about its own image, where a probe of the parameters learns one
number from a whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.tuning.estimators.bases import Basis, Patterns
from bbsmooth.tuning.estimators.image_directions import ImageDirections
from bbsmooth.tuning.estimators.parameter_space import GradientEstimate, ImageObjective, require_directions


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
        num_directions: q, an image.
        two_sided: whether both sides are probed: two evaluations a direction, else one and one at the middle.

    Raises:
        ValueError: no direction.
    """

    basis: Basis
    directions: ImageDirections
    num_directions: int
    two_sided: bool = True

    def __post_init__(self) -> None:
        """Refuse an empty mean."""
        require_directions(self.num_directions)

    @property
    def evaluations(self) -> int:
        """Losses asked for in one estimate: two for each direction, or one for each and one in the middle."""
        return 2 * self.num_directions if self.two_sided else self.num_directions + 1

    def estimate(
        self, objective: ImageObjective, at: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> GradientEstimate:
        """Gradient by the chain rule: the slope at the proposed images, through the derivative of the proposal."""
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
        sampled = self.directions.sample(self.num_directions, batch, patterns.dimensions, generator=generator)

        def variants() -> Iterator[Tensor]:
            if not self.two_sided:
                yield proposed
            for coefficients in sampled:
                step = probe_radius * patterns.expand(coefficients)
                yield proposed + step
                if self.two_sided:
                    yield proposed - step

        seen = torch.stack(list(objective.losses_of(variants())))
        if self.two_sided:
            slopes = (seen[::2] - seen[1::2]) / (2 * probe_radius)
        else:
            slopes = (seen[1:] - seen[0]) / probe_radius
        total = torch.zeros_like(proposed)
        for coefficients, slope in zip(sampled, slopes, strict=True):
            total += slope.view(-1, 1, 1, 1) * patterns.expand(coefficients)
        return total * (patterns.dimensions / self.num_directions), float(seen.mean())
