"""Bias-free CNN: a DnCNN without a constant anywhere, which so knows every noise level (Mohan et al., ICLR 2020)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bbsmooth.coordinator.denoisers.dncnn import DnCnn, convolution

_KADKHODAIE = re.compile(r"(conv_layers\.\d+\.weight|running_sd\.\d+|gammas\.\d+(\.weight)?)")
_MOHAN = re.compile(
    r"(first_layer|last_layer|hidden_layer_list\.\d+)\.weight"
    r"|bn_layer_list\.\d+\.(weight|bias|running_var|running_mean|num_batches_tracked)"
)
_EPS = 1e-5


class Scale(nn.Module):
    """Channels times fixed factors.

    Args:
        factors: (channels,).
    """

    factors: Tensor

    def __init__(self, factors: Tensor) -> None:
        """Keep the factors."""
        super().__init__()
        self.register_buffer("factors", factors.clone().view(1, -1, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, channels, H, W), each times its factor."""
        return features * self.factors


def recognises(names: set[str]) -> bool:
    """True for the weights of a bias-free CNN, by the names of either of its authors' repositories.

    Kadkhodaie & Simoncelli (NeurIPS 2021) write `conv_layers.0.weight` and `running_sd.0`, Mohan et al.
    `first_layer.weight` and `bn_layer_list.0.running_var`.
    """
    return all(map(_KADKHODAIE.fullmatch, names)) or all(map(_MOHAN.fullmatch, names))


def build(tensors: Mapping[str, Tensor]) -> tuple[DnCnn, int]:
    """The network with these weights, and the channels that it takes. The layers tell the noise.

    Raises:
        ValueError: they are not those of a whole network.
    """
    if "first_layer.weight" in tensors:
        first, last, middle = "first_layer", "last_layer", "hidden_layer_list.{}"
        count = sum(name.startswith("hidden_layer_list.") for name in tensors)
        between = [middle.format(place) for place in range(count)]
    else:
        count = sum(name.startswith("conv_layers.") for name in tensors) - 2
        first, last = "conv_layers.0", f"conv_layers.{count + 1}"
        between = [f"conv_layers.{place + 1}" for place in range(count)]
    layers: list[nn.Module] = [convolution(tensors, first), nn.ReLU()]
    for place, name in enumerate(between):
        layers += [convolution(tensors, name), Scale(_factors(tensors, place)), nn.ReLU()]
    layers.append(convolution(tensors, last))
    channels = tensors[f"{first}.weight"].shape[1]
    if channels != tensors[f"{last}.weight"].shape[0]:
        raise ValueError(f"it takes {channels} channels and gives {tensors[f'{last}.weight'].shape[0]}")
    return DnCnn(nn.Sequential(*layers), -1), channels


def _factors(tensors: Mapping[str, Tensor], place: int) -> Tensor:
    """(channels,) what normalisation without a mean multiplies by.

    Raises:
        ValueError: its statistics are missing: some files keep them apart, and without them the network is another.
    """
    spread, variance = tensors.get(f"running_sd.{place}"), tensors.get(f"bn_layer_list.{place}.running_var")
    if variance is not None:
        spread = variance.sqrt() + _EPS
    if spread is None:
        raise ValueError(f"running_sd.{place} is missing, the spread that its layer divides by")
    names = (f"gammas.{place}", f"gammas.{place}.weight", f"bn_layer_list.{place}.weight")
    gains = next((tensors[name] for name in names if name in tensors), torch.ones(()))
    return gains.flatten() / spread.flatten()
