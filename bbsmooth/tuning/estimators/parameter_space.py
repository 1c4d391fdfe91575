"""Gradients from losses alone: estimators that ask for a loss at a few points around the parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from bbsmooth.tuning.estimators.directions import Directions


class Objective(Protocol):
    """A loss that is the same function for every point asked about: same images, same noise."""

    def losses(self, points: Tensor) -> Tensor:
        """(K, P) parameters -> (K,) mean losses."""
        ...


class GroupObjective(Protocol):
    """A loss of a batch that can be divided."""

    @property
    def num_images(self) -> int:
        """The most parts that the batch can be divided into."""
        ...

    def group_losses(self, points: Tensor) -> Tensor:
        """(K, G, P) parameters, K times one point for each of G like parts of the batch -> (K, G) mean losses."""
        ...


class ImageObjective(Protocol):
    """A loss of what a coordinator proposes for each image, for estimators that look between the two."""

    def propose(self, parameters: Tensor) -> Tensor:
        """(P,) -> (B, C, H, W), differentiable."""
        ...

    def losses_at(self, proposed: Tensor) -> Tensor:
        """(B, C, H, W), a variant of what was proposed for each image -> (B,) losses."""
        ...

    def losses_of(self, variants: Iterable[Tensor]) -> Iterator[Tensor]:
        """`losses_at` of each of several variants, in order; each is made when its turn comes."""
        ...


class BatchLosses(Objective, GroupObjective, ImageObjective, Protocol):
    """A loss that can be looked at in each of these ways."""


class GradientEstimate(NamedTuple):
    """A gradient (P,) float32, and the mean of all losses that were asked for on the way."""

    gradient: Tensor
    loss: float


class GradientEstimator(Protocol):
    """A way to estimate a gradient from losses."""

    @property
    def evaluations(self) -> int:
        """Losses of the whole batch that one estimate asks for, to plan against a budget."""
        ...

    def estimate(
        self, objective: BatchLosses, at: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> GradientEstimate:
        """The gradient at `at` (P,), probing `probe_radius` far."""
        ...


def require_directions(num_directions: int) -> None:
    """Refuse a mean over no direction with a `ValueError`."""
    if num_directions < 1:
        raise ValueError(f"num_directions must be at least 1, got {num_directions}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spsa:
    """Two-sided differences: the mean over directions u of (L(z + c u) - L(z - c u)) / (2 c) * dual(u).

    Unbiased on linear and quadratic losses, else up to O(c^2). Spall, IEEE TAC 1992, equation 2.2 for Rademacher and
    segmented uniform directions, whose dual is 1/u.

    Args:
        directions: to probe along.
        num_directions: to average over; each costs two evaluations.

    Raises:
        ValueError: no direction.
    """

    directions: Directions
    num_directions: int

    def __post_init__(self) -> None:
        """Refuse an empty mean."""
        require_directions(self.num_directions)

    @property
    def evaluations(self) -> int:
        """Two a direction."""
        return 2 * self.num_directions

    def estimate(
        self, objective: Objective, at: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> GradientEstimate:
        """Gradient by two-sided differences along random directions."""
        probes = [self.directions.sample(len(at), generator=generator) for _ in range(self.num_directions)]
        steps = probe_radius * torch.stack([probe.direction for probe in probes])
        losses = objective.losses(torch.stack([at + steps, at - steps], 1).flatten(0, 1)).view(-1, 2)
        slopes = (losses[:, 0] - losses[:, 1]) / (2 * probe_radius)
        gradient = slopes @ torch.stack([probe.dual for probe in probes]).to(slopes.dtype) / self.num_directions
        return GradientEstimate(gradient.to(at.dtype), float(losses.mean()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardDifference:
    """One-sided differences (RGE): the mean over directions u of (L(z + c u) - L(z)) / c * dual(u).

    Unbiased on linear losses, else up to O(c). One evaluation a direction and one in all: cheaper than `Spsa` for many
    directions. Liu et al., IEEE SPM 2020, equation 3; with `Sphere` it is the RGE of Zhang et al., ICLR 2022.

    Args:
        directions: to probe along.
        num_directions: to average over.

    Raises:
        ValueError: no direction.
    """

    directions: Directions
    num_directions: int

    def __post_init__(self) -> None:
        """Refuse an empty mean."""
        require_directions(self.num_directions)

    @property
    def evaluations(self) -> int:
        """One a direction, and one at the middle."""
        return self.num_directions + 1

    def estimate(
        self, objective: Objective, at: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> GradientEstimate:
        """Gradient by one-sided differences along random directions."""
        probes = [self.directions.sample(len(at), generator=generator) for _ in range(self.num_directions)]
        steps = probe_radius * torch.stack([probe.direction for probe in probes])
        losses = objective.losses(torch.cat([at[None], at + steps]))
        slopes = (losses[1:] - losses[0]) / probe_radius
        gradient = slopes @ torch.stack([probe.dual for probe in probes]).to(slopes.dtype) / self.num_directions
        return GradientEstimate(gradient.to(at.dtype), float(losses.mean()))
