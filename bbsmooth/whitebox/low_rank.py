"""Low-rank branches where peft's would not do what they say.

It takes timm's convolutions that standardise their weights for plain ones.

peft makes both halves of a branch of the layer's class, so that A and B are standardised in the forward pass as well:
B A is of full size after the first step. Nor can it be merged into W, which is standardised itself. Where such a layer
pads by the size of its images, A does not, and the two do not fit.

Beside the linear layers of `nn.TransformerEncoderLayer` a branch is passed by wherever torch computes the layer in one
piece, which it does in evaluation mode where neither images nor the layer's own weights want gradients; and
`nn.MultiheadAttention` never calls the layer that projects its output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.std_conv import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import Tensor, nn

ADAPTER_NAME = "default"


@contextmanager
def all_layers_called() -> Iterator[None]:
    """Keep torch from computing transformer layers in one piece, past the branches beside their linear layers."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def never_called(module: nn.Module) -> set[str]:
    """Names of the layers inside `nn.MultiheadAttention`, which takes their weights and computes by itself."""
    return {
        f"{name}.{inner}"
        for name, part in module.named_modules()
        if isinstance(part, nn.MultiheadAttention)
        for inner, _ in part.named_modules()
        if inner
    }


class Beside(nn.Module):
    """A layer plus its branch, where the two cannot be merged."""

    def __init__(self, layer: nn.Module, down: nn.Module, up: nn.Module, scale: float) -> None:
        """The sum of `layer` and `scale` times `up` after `down`."""
        super().__init__()
        self.layer, self.down, self.up, self._scale = layer, down, up, scale

    def forward(self, features: Tensor) -> Tensor:
        """Of both, for the same features."""
        found: Tensor = self.layer(features) + self._scale * self.up(self.down(features))
        return found


def is_plain(layer: nn.Module) -> bool:
    """True if a layer is W x and its padding its own, as peft assumes."""
    return not (_pads_by_size(layer) or _is_standardised(layer))


def make_linear(adapted: nn.Module) -> None:
    """Make the branches of a `peft.PeftModel` B A x, with A padding as its layer does; weights stay the tensors."""
    for branch in _unmergeable(adapted).values():
        layer, down, up = branch.get_base_layer(), branch.lora_A[ADAPTER_NAME], branch.lora_B[ADAPTER_NAME]
        kind = Conv2dSame if _pads_by_size(layer) else nn.Conv2d
        branch.lora_A[ADAPTER_NAME] = _of(kind, down.weight, layer.kernel_size, layer.stride, layer.padding)
        branch.lora_B[ADAPTER_NAME] = _of(nn.Conv2d, up.weight, 1, 1, 0)


def _of(kind: type[nn.Conv2d], weight: nn.Parameter, kernel: Any, stride: Any, padding: Any) -> nn.Conv2d:
    """A convolution with this very weight."""
    made = kind(weight.shape[1], weight.shape[0], kernel, stride, padding, bias=False)
    made.weight = weight
    return made


def merged(adapted: Any) -> nn.Module:
    """The module of a `peft.PeftModel` with its branches merged, or beside layers that this would change."""
    beside = {
        name: Beside(
            deepcopy(branch.get_base_layer()),
            branch.lora_A[ADAPTER_NAME],
            branch.lora_B[ADAPTER_NAME],
            branch.scaling[ADAPTER_NAME],
        )
        for name, branch in _unmergeable(adapted.get_base_model()).items()
    }
    module: nn.Module = adapted.merge_and_unload()
    for name, layer in beside.items():
        module.set_submodule(name, layer)
    return module


def _unmergeable(module: nn.Module) -> dict[str, Any]:
    """Peft's branches beside layers that standardise their weights, by name."""
    from peft.tuners.lora import LoraLayer

    branches = ((name, part) for name, part in module.named_modules() if isinstance(part, LoraLayer))
    return {name: branch for name, branch in branches if _is_standardised(branch.get_base_layer())}


def _pads_by_size(layer: nn.Module) -> bool:
    return isinstance(layer, Conv2dSame) or bool(getattr(layer, "same_pad", False))


def _is_standardised(layer: nn.Module) -> bool:
    return isinstance(layer, StdConv2d | StdConv2dSame | ScaledStdConv2d | ScaledStdConv2dSame)
