"""Bottleneck adapters (Houlsby et al., ICML 2019): a small residual network after every attention and MLP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.adaptation import only_head

_SITES = frozenset({"attn", "mlp", "mlp_tokens", "mlp_channels"})


@dataclass(frozen=True, slots=True)
class Adapter:
    """Adapters after attention and MLP (transformers, mixers, ConvNeXt) or after each block (ResNet), and the head.

    Args:
        width: of the bottleneck.
    """

    width: int = 8
    name: ClassVar[str] = "adapter"
    moves_statistics: ClassVar[bool] = False

    def adapt(self, module: nn.Module, *, head: tuple[str, ...], example: Tensor, seed: int) -> nn.Module:
        """The frozen classifier with trainable adapters and head."""
        if self.width < 1:
            raise UsageError(f"an adapter's bottleneck needs at least 1 value, got {self.width}")
        sites = dict(_sites(module))
        if not sites:
            raise UsageError(f"a {type(module).__name__} has no attention, MLP or residual block to put adapters after")
        only_head(module, head)
        shapes = _output_shapes(module, sites, example)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name, site in sites.items():
                parent, _, attribute = name.rpartition(".")
                residual = _residual(site, shapes[name], self.width)
                setattr(module.get_submodule(parent), attribute, Followed(site, residual))
        return module


class Residual(nn.Module):
    """x + up(gelu(down(x))) over the channels of x; the identity before it is trained, because `up` starts at zero.

    Args:
        down: to the bottleneck.
        up: back again.
    """

    def __init__(self, down: nn.Linear | nn.Conv2d, up: nn.Linear | nn.Conv2d) -> None:
        """Start as the identity."""
        super().__init__()
        self.down, self.up = down, up
        nn.init.zeros_(up.weight)
        if up.bias is not None:
            nn.init.zeros_(up.bias)

    def forward(self, values: Tensor) -> Tensor:
        """The adapted values, in the same shape."""
        adapted: Tensor = values + self.up(F.gelu(self.down(values)))
        return adapted


class Followed(nn.Module):
    """A module followed by its adapter, in the module's place."""

    def __init__(self, inner: nn.Module, adapter: Residual) -> None:
        """Keep both."""
        super().__init__()
        self.inner, self.adapter = inner, adapter

    def forward(self, *arguments: Any, **options: Any) -> Tensor:
        """As the module, then adapted."""
        adapted: Tensor = self.adapter(self.inner(*arguments, **options))
        return adapted


def _sites(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, inner in module.named_modules():
        if name.rpartition(".")[2] in _SITES or isinstance(inner, BasicBlock | Bottleneck):
            yield name, inner


def _output_shapes(module: nn.Module, sites: dict[str, nn.Module], example: Tensor) -> dict[str, torch.Size]:
    """Shape of the output of each site."""
    shapes: dict[str, torch.Size] = {}
    hooks = [
        site.register_forward_hook(lambda _, __, output, name=name: shapes.update({name: output.shape}))
        for name, site in sites.items()
    ]
    with torch.inference_mode():
        module.eval()(example)
    for hook in hooks:
        hook.remove()
    return shapes


def _residual(site: nn.Module, shape: torch.Size, width: int) -> Residual:
    """An adapter for what comes out of a site: convolutions have channels second, everything else last."""
    if not any(isinstance(part, nn.Linear) for part in site.modules()):
        return Residual(nn.Conv2d(shape[1], width, 1), nn.Conv2d(width, shape[1], 1))
    return Residual(nn.Linear(shape[-1], width), nn.Linear(width, shape[-1]))
