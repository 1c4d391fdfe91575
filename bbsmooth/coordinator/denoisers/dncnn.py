"""DnCNN: convolutions, each followed by ReLU, that tell the noise (Zhang, Zuo, Chen, Meng, Zhang, TIP 2017)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

_PLAIN = re.compile(r"(?:model|dncnn)\.(\d+)\.(weight|bias|running_mean|running_var|num_batches_tracked)")
_DEEPINV = re.compile(r"(in_conv|out_conv|conv_list\.\d+)\.(weight|bias)")
_EPS = {"model": 1e-4, "dncnn": 1e-4}
"""Of batch normalisation: KAIR's, and that of denoised smoothing (Salman et al., NeurIPS 2020)."""


class DnCnn(nn.Module):
    """The image less, or plus, what the layers say.

    Args:
        layers: convolutions with what stands between them.
        sign: -1 where they tell the noise, 1 where they tell the correction.
    """

    def __init__(self, layers: nn.Sequential, sign: int) -> None:
        """Wrap the layers."""
        super().__init__()
        self.layers, self.sign = layers, sign

    def forward(self, images: Tensor, sigma: float) -> Tensor:
        """Denoised images (B, C, H, W). The network is blind: `sigma` is not looked at."""
        shown: Tensor = images + self.sign * self.layers(images)
        return shown


def recognises(names: set[str]) -> bool:
    """True for the weights of a DnCNN, by the names of a published code.

    KAIR writes `model.0.weight`, denoised smoothing `dncnn.0.weight`, deepinv `in_conv.weight`.
    """
    return all(map(_PLAIN.fullmatch, names)) or all(map(_DEEPINV.fullmatch, names))


def build(tensors: Mapping[str, Tensor]) -> tuple[DnCnn, int]:
    """The network with these weights, and the channels that it takes.

    Raises:
        ValueError: they are not those of a whole DnCNN.
    """
    if all(map(_DEEPINV.fullmatch, tensors)):
        count = len({name.split(".")[1] for name in tensors if name.startswith("conv_list.")})
        order = ["in_conv", *(f"conv_list.{place}" for place in range(count)), "out_conv"]
        plain: list[nn.Module] = [part for name in order for part in (convolution(tensors, name), nn.ReLU())]
        return _whole(plain[:-1], 1)
    (prefix,) = {name.partition(".")[0] for name in tensors}
    places = sorted({int(name.split(".")[1]) for name in tensors})
    layers: list[nn.Module] = []
    for place in places:
        name = f"{prefix}.{place}"
        if f"{name}.running_mean" in tensors:
            layers[-1] = normalisation(tensors, name, _EPS[prefix])  # in place of the ReLU, which follows
        else:
            layers.append(convolution(tensors, name))
        layers.append(nn.ReLU())
    return _whole(layers[:-1], -1)


def convolution(tensors: Mapping[str, Tensor], name: str) -> nn.Conv2d:
    """The layer called `name`, whose sides it keeps.

    Raises:
        ValueError: it is not there, or no convolution of odd size.
    """
    weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
    if weight is None or weight.ndim != 4 or weight.shape[2] != weight.shape[3] or weight.shape[2] % 2 == 0:
        raise ValueError(f"{name}.weight is no convolution")
    outputs, inputs, size, _ = weight.shape
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias is not None)
    layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return layer


def normalisation(tensors: Mapping[str, Tensor], name: str, eps: float) -> nn.BatchNorm2d:
    """Batch normalisation called `name`, by the statistics of its training."""
    own = {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
    layer = nn.BatchNorm2d(len(own["running_mean"]), eps=eps)
    layer.load_state_dict(own, strict=False)
    return layer


def _whole(layers: list[nn.Module], sign: int) -> tuple[DnCnn, int]:
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    channels = convolutions[0].in_channels
    if channels != convolutions[-1].out_channels:
        raise ValueError(f"it takes {channels} channels and gives {convolutions[-1].out_channels}")
    for before, after in pairwise(convolutions):
        if before.out_channels != after.in_channels:
            raise ValueError(f"a layer of {after.in_channels} inputs follows one of {before.out_channels} outputs")
    return DnCnn(nn.Sequential(*layers), sign), channels
