"""A search space of low rank."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.coordinator.network import Architecture, Convolution, Weights
from bbsmooth.coordinator.spaces import unit
from bbsmooth.randomness import fork


@dataclass(frozen=True, slots=True)
class LowRankSpace:
    """A change of low rank to every convolution of the decoder: unit * B (A + a) for weights of `rank` rows.

    Hu et al. (LoRA), ICLR 2022; ZIP (Park et al., ICLR 2025) tunes such factors by zeroth-order steps. A is random and
    fixed, so that b = 0 is the pre-trained network and has a slope there.

    Args:
        rank: r.

    Raises:
        ValueError: less than 1.
    """

    rank: int

    def __post_init__(self) -> None:
        """Refuse a change of nothing."""
        if self.rank < 1:
            raise ValueError(f"the rank must be at least 1, got {self.rank}")

    def size(self, architecture: Architecture) -> int:
        """That is r (outputs + inputs * size^2) a layer."""
        return sum(self._sides(architecture.layers[name])[2] for name in architecture.decoder_layers)

    def weights(self, architecture: Architecture, weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """Weights with a low-rank change; layer by layer, B before a. Biases stay."""
        sides = {name: self._sides(architecture.layers[name]) for name in architecture.decoder_layers}
        parts = torch.split(parameters, [total for *_, total in sides.values()])
        tuned = dict(weights)
        for (name, (outputs, inputs, _)), part in zip(sides.items(), parts, strict=True):
            left, right = part[: outputs * self.rank], part[outputs * self.rank :]
            fixed = torch.randn(self.rank, inputs, generator=fork(0, "low-rank", name)).to(part.device)
            change = left.view(outputs, self.rank) @ (fixed + right.view(self.rank, inputs)) / math.sqrt(self.rank)
            before = weights[f"{name}.weight"]
            tuned[f"{name}.weight"] = before + unit(before) * change.view(before.shape)
        return tuned

    def _sides(self, layer: Convolution) -> tuple[int, int, int]:
        """Rows, columns and parameters of a layer's matrix."""
        inputs = layer.inputs * layer.size**2
        return layer.outputs, inputs, self.rank * (layer.outputs + inputs)
