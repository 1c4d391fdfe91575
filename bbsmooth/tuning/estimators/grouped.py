"""Two-sided differences in which every few images have a direction of their own.

A batch that shares one direction says nothing about all others, however large it is. Divided into groups with a
direction each, it costs the same: the error from the images is that of the whole batch as before, and the error from
the choice of directions falls with the number of groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.tuning.estimators.directions import Directions
from bbsmooth.tuning.estimators.parameter_space import GradientEstimate, GroupObjective


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedSpsa:
    """The mean over groups of (L_j(z + c u_j) - L_j(z - c u_j)) / (2 c) * dual(u_j), L_j being the loss of group j.

    Unbiased where `Spsa` is, at the same cost as one of its directions. Nothing but the noise of directions differs:
    with gradient g, images' gradients of variance v around it, P parameters, B images and G groups, the variance is
    about P (|g|^2 / G + v / B).

    Args:
        directions: to probe along.
        num_groups: G; a batch of fewer images has one for each.

    Raises:
        ValueError: no group.
    """

    directions: Directions
    num_groups: int

    def __post_init__(self) -> None:
        """Refuse an empty mean."""
        if self.num_groups < 1:
            raise ValueError(f"num_groups must be at least 1, got {self.num_groups}")

    @property
    def evaluations(self) -> int:
        """Two."""
        return 2

    def estimate(
        self, objective: GroupObjective, at: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> GradientEstimate:
        """Gradient by two-sided differences, with one direction for each group of images."""
        num_groups = min(self.num_groups, objective.num_images)
        probes = [self.directions.sample(len(at), generator=generator) for _ in range(num_groups)]
        steps = probe_radius * torch.stack([probe.direction for probe in probes])
        above, below = objective.group_losses(torch.stack([at + steps, at - steps]))
        slopes = (above - below) / (2 * probe_radius)
        duals = torch.stack([probe.dual for probe in probes]).to(slopes.dtype)
        return GradientEstimate((slopes @ duals / num_groups).to(at.dtype), float((above + below).mean()) / 2)
