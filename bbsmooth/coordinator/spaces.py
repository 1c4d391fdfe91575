"""Search spaces: the part of the decoder that is tuned, as a flat vector.

It is relative to the pre-trained weights, and zero where tuning starts.
Zeroth-order tuning probes all coordinates with one radius, so a coordinate must mean a like change everywhere.
Hence 0.05 is five per cent of a channel's gain, five per cent of the spread of its output, or five per cent of a
layer's typical weight, whatever the layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bbsmooth.coordinator.network import Architecture, Weights

_SMALLEST_UNIT = 1e-3


class Space(Protocol):
    """The parameters that tuning may change."""

    def size(self, architecture: Architecture) -> int:
        """Number of parameters P."""
        ...

    def weights(self, architecture: Architecture, weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """The weights that `parameters` (P,) stand for: all of them, those of the encoder unchanged."""
        ...


@dataclass(frozen=True, slots=True)
class FilmSpace:
    """A scale and a shift for every channel of the decoder (Perez et al., AAAI 2018).

    Channel output y becomes (1 + scale) * y + unit * shift, where `unit` is the standard deviation of y on the images
    that the coordinator was pre-trained on. It is folded into weights and biases.
    """

    def size(self, architecture: Architecture) -> int:
        """Two parameters a channel."""
        return 2 * sum(architecture.layers[name].outputs for name in architecture.decoder_layers)

    def weights(self, architecture: Architecture, weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """Weights with scaled and shifted channels; first all scales, then all shifts, in the order of the layers."""
        sizes = [architecture.layers[name].outputs for name in architecture.decoder_layers]
        scales, shifts = (torch.split(half, sizes) for half in parameters.chunk(2))
        tuned = dict(weights)
        for name, scale, shift in zip(architecture.decoder_layers, scales, shifts, strict=True):
            tuned[f"{name}.weight"] = weights[f"{name}.weight"] * (1 + scale).view(-1, 1, 1, 1)
            tuned[f"{name}.bias"] = weights[f"{name}.bias"] * (1 + scale) + weights[f"{name}.unit"] * shift
        return tuned


@dataclass(frozen=True, slots=True)
class DecoderSpace:
    """Every weight and bias of the decoder, in units of its tensor's root mean square."""

    def size(self, architecture: Architecture) -> int:
        """Number of weights and biases."""
        layers = [architecture.layers[name] for name in architecture.decoder_layers]
        return sum(layer.outputs * (layer.inputs * layer.size**2 + 1) for layer in layers)

    def weights(self, architecture: Architecture, weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """Weights with a changed decoder; layer by layer, weight before bias."""
        names = [f"{layer}.{part}" for layer in architecture.decoder_layers for part in ("weight", "bias")]
        parts = torch.split(parameters, [weights[name].numel() for name in names])
        tuned = dict(weights)
        for name, part in zip(names, parts, strict=True):
            tuned[name] = weights[name] + unit(weights[name]) * part.view(weights[name].shape)
        return tuned


def unit(tensor: Tensor) -> Tensor:
    """Root mean square, as a change of one."""
    return torch.clamp(tensor.square().mean().sqrt(), min=_SMALLEST_UNIT)
