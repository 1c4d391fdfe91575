"""Gradient checkpointing (Chen et al., arXiv 1604.06174): activations computed again instead of kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.adaptation import batch_normalisation
from bbsmooth.whitebox.classifier import classifying_part


def recompute_activations(module: nn.Module) -> None:
    """Have the classifier's blocks compute their activations again in the backward pass, in place; same gradients.

    Args:
        module: a model, or one with prompts, adapters or low-rank branches, in the mode that it is trained in.

    Raises:
        UsageError: the architecture has no such blocks, or batch normalisation that would see every batch twice.
    """
    if any(layer.training for layer in batch_normalisation(module)):
        raise UsageError(
            "`gradient_checkpointing` would count every batch twice in this model's running statistics; leave it out, "
            "or train by a `method` that keeps them, such as lora"
        )
    _, body = classifying_part(module)
    try:
        body.set_grad_checkpointing(True)  # type: ignore[operator]
    except (AttributeError, AssertionError):  # timm asserts where an architecture cannot
        raise UsageError(
            f"a {type(body).__name__} has no blocks that could compute again; leave `gradient_checkpointing` out"
        ) from None


def through(block: nn.Module, values: Tensor, *, again: bool) -> Tensor:
    """What a block makes of `values`; with `again`, its activations are computed again in the backward pass."""
    if again and torch.is_grad_enabled():
        computed: Tensor = checkpoint(block, values, use_reentrant=False)
        return computed
    passed: Tensor = block(values)
    return passed
