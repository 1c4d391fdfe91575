"""A random search space of few dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.coordinator.network import Architecture, Weights
from bbsmooth.coordinator.spaces import DecoderSpace
from bbsmooth.randomness import fork


@dataclass(frozen=True, slots=True)
class SubspaceSpace:
    """A fixed random subspace of all decoder weights: each belongs to one parameter, with a random sign.

    Li et al. (intrinsic dimension), ICLR 2018. The columns of this map are orthogonal. A parameter of 1 moves its
    weights by their unit, all of them.

    Args:
        dimensions: of the subspace.

    Raises:
        ValueError: less than 1.
    """

    dimensions: int

    def __post_init__(self) -> None:
        """Refuse a point."""
        if self.dimensions < 1:
            raise ValueError(f"a subspace needs at least 1 dimension, got {self.dimensions}")

    def size(self, architecture: Architecture) -> int:
        """Its dimensions."""
        return self.dimensions

    def weights(self, architecture: Architecture, weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """Weights of the network whose decoder is moved within the subspace."""
        size = DecoderSpace().size(architecture)
        generator = fork(0, "subspace", size)
        owner = torch.randint(self.dimensions, (size,), generator=generator)
        signs = 2.0 * torch.randint(2, (size,), generator=generator) - 1
        owner, signs = owner.to(parameters.device), signs.to(parameters.device)
        return DecoderSpace().weights(architecture, weights, signs * parameters[owner])
