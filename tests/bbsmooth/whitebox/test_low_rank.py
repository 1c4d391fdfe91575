"""Branches beside convolutions that pad by the size of images, or standardise their weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import timm
import torch
from timm.layers.std_conv import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.autolora import Branches
from bbsmooth.whitebox.lora import Lora
from bbsmooth.whitebox.low_rank import Beside, all_layers_called, merged
from tests.bbsmooth.whitebox.models import build
from tests.oracles import networks

ODD = torch.rand(2, 3, 35, 35, generator=torch.Generator().manual_seed(0))


def grown(module: nn.Module, example: Tensor, *targets: str, variant: str = "lora") -> Any:
    """With a branch of random weights beside each target."""
    head = str(module.default_cfg["classifier"])  # type: ignore[index]
    adapted = Lora(targets=targets, variant=variant).adapt(module, head=(head,), example=example, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
    return adapted.eval()


@torch.inference_mode()
def test_a_branch_is_merged_into_a_layer_that_pads_by_size() -> None:
    module = timm.create_model("tf_efficientnet_lite0", num_classes=3).eval()
    plain = deepcopy(module)(ODD)
    adapted = grown(module, ODD[:1], "conv_stem")
    apart = adapted(ODD)
    together = merged(adapted)
    assert not any(isinstance(part, Beside) for part in together.modules())
    torch.testing.assert_close(together(ODD), apart, rtol=1e-4, atol=1e-5)
    assert (apart - plain).abs().max() > 1e-3


@torch.inference_mode()
def test_a_branch_beside_standardised_weights_is_not_merged_into_them() -> None:
    module, example = build("hybrid")
    adapted = grown(module, example, "conv", "qkv")
    apart, wrong = adapted(example), deepcopy(adapted).merge_and_unload()(example)
    together = merged(adapted)
    torch.testing.assert_close(together(example), apart, rtol=1e-4, atol=1e-5)
    assert (wrong - apart).abs().max() > 1e-3
    assert [name for name, part in together.named_modules() if isinstance(part, Beside)] == [
        "patch_embed.backbone.conv"
    ]


@pytest.mark.parametrize("kind", [StdConv2d, ScaledStdConv2d, StdConv2dSame, ScaledStdConv2dSame])
@torch.inference_mode()
def test_a_branch_is_linear_in_each_half(kind: type[nn.Conv2d]) -> None:
    """peft alone standardises them too: a branch next to zero would be as large as any."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = kind(3, 4, 3, stride=2, padding="same" if "Same" in kind.__name__ else 1)
        module = nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(3)).eval()
        plain = module(ODD)
    adapted = Lora(targets=("0",)).adapt(module, head=("2",), example=ODD[:1], seed=1).eval()
    up = next(weight for name, weight in adapted.named_parameters() if "lora_B" in name)
    nn.init.constant_(up, 1e-3)
    near = adapted(ODD) - plain
    up.mul_(10)
    torch.testing.assert_close(adapted(ODD) - plain, 10 * near, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(merged(adapted)(ODD), plain + 10 * near, rtol=1e-3, atol=1e-4)


def test_natural_images_reach_a_branch_on_every_convolution() -> None:
    module, example = build("hybrid")
    before = module(example)
    branches = Branches.grow(module, ("head",), seed=0)
    torch.testing.assert_close(branches.natural(example), before)
    torch.autograd.backward(branches.natural(example).sum())
    up = next(weight for name, weight in branches.module.named_parameters() if "backbone.conv.lora_B" in name)
    assert up.grad is not None
    assert up.grad.abs().max() > 0


@pytest.mark.parametrize("variant", ["dora", "loha"])
def test_relatives_are_refused_where_the_layer_is_no_plain_one(variant: str) -> None:
    module, example = build("hybrid")
    with pytest.raises(UsageError, match=r"needs plain layers, patch_embed\.backbone\.conv is a StdConv2dSame; take"):
        grown(module, example, "conv", variant=variant)
    with pytest.raises(UsageError, match=r"needs plain layers, conv_stem is a Conv2dSame; take"):
        grown(timm.create_model("tf_efficientnet_lite0", num_classes=3), ODD[:1], "conv_stem", variant=variant)


def test_torchs_transformer_layers_use_the_branches_beside_their_linear_layers() -> None:
    module = networks.Encoder().eval()
    images = torch.rand(2, 1, 16, 16)
    adapted = Lora().adapt(module, head=("classify",), example=images[:1], seed=1)
    halves = {name: weight for name, weight in adapted.named_parameters() if "lora_B" in name}
    assert {name.split(".")[-4] for name in halves} == {"linear1", "linear2"}  # not the attention's own projection
    with all_layers_called():
        adapted(images).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in halves.values())
    with torch.no_grad():
        for weight in halves.values():
            weight.normal_()
        with all_layers_called():
            apart = adapted(images)
        torch.testing.assert_close(merged(adapted)(images), apart, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", ["out_proj", "body.layers.1.self_attn.out_proj"])
def test_a_layer_that_is_never_called_is_refused(target: str) -> None:
    module = networks.Encoder().eval()
    with pytest.raises(UsageError, match=r"out_proj is never called .* name body\.layers\.\d\.self_attn itself"):
        Lora(targets=(target,)).adapt(module, head=("classify",), example=torch.rand(1, 1, 16, 16), seed=1)
