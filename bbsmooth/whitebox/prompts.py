"""Visual prompt tuning (Jia et al., ECCV 2022): learnt tokens beside the tokens of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.adaptation import only_head
from bbsmooth.whitebox.checkpointing import through


@dataclass(frozen=True, slots=True)
class Prompt:
    """Prompts before the first layer (VPT-shallow), and the head.

    Args:
        length: tokens.
    """

    length: int = 10
    name: ClassVar[str] = "prompt"
    moves_statistics: ClassVar[bool] = False

    def adapt(self, module: nn.Module, *, head: tuple[str, ...], example: Tensor, seed: int) -> nn.Module:
        """The frozen transformer with trainable prompts and head."""
        return _prompted(module, head, self.length, layers=1, seed=seed)


@dataclass(frozen=True, slots=True)
class DeepPrompt:
    """Prompts of their own before every layer (VPT-deep), and the head.

    Args:
        length: tokens a layer.
    """

    length: int = 10
    name: ClassVar[str] = "prompt-deep"
    moves_statistics: ClassVar[bool] = False

    def adapt(self, module: nn.Module, *, head: tuple[str, ...], example: Tensor, seed: int) -> nn.Module:
        """The frozen transformer with trainable prompts and head."""
        layers = len(module.blocks) if isinstance(module, VisionTransformer) else 0
        return _prompted(module, head, self.length, layers=layers, seed=seed)


class PromptedVit(nn.Module):
    """A vision transformer with prompts between its prefix tokens and those of the patches.

    The prompts of a layer take the place of the earlier ones; after the last layer all are dropped, so that a head
    which averages patch tokens sees no prompt.

    Args:
        vit: the transformer.
        prompts: (layers, length, width); one layer for shallow prompts, else one for each of its blocks.
    """

    def __init__(self, vit: Any, prompts: Tensor) -> None:
        """Keep both."""
        super().__init__()
        self.vit = vit
        self.prompts = nn.Parameter(prompts)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) to logits (B, K)."""
        vit, prefix = self.vit, self.vit.num_prefix_tokens
        tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(images))))
        length = 0
        for layer, block in enumerate(vit.blocks):
            if layer < len(self.prompts):
                prompts = self.prompts[layer].expand(len(tokens), -1, -1)
                tokens = torch.cat([tokens[:, :prefix], prompts, tokens[:, prefix + length :]], 1)
                length = prompts.shape[1]
            tokens = through(block, tokens, again=vit.grad_checkpointing)
        tokens = vit.norm(tokens)
        logits: Tensor = vit.forward_head(torch.cat([tokens[:, :prefix], tokens[:, prefix + length :]], 1))
        return logits


def _prompted(module: nn.Module, head: tuple[str, ...], length: int, *, layers: int, seed: int) -> nn.Module:
    if not isinstance(module, VisionTransformer):
        raise UsageError(
            f"prompts need a plain vision transformer, whose number of tokens is free, not a {type(module).__name__}; "
            "use `method` lora or adapter"
        )
    if length < 1:
        raise UsageError(f"a prompt needs at least 1 token, got {length}")
    only_head(module, head)
    height, width = module.patch_embed.patch_size
    limit = math.sqrt(6 / (3 * height * width + module.embed_dim))  # as in the paper's code: Xavier over a patch
    generator = torch.Generator().manual_seed(seed)
    prompts = (torch.rand(layers, length, module.embed_dim, generator=generator) * 2 - 1) * limit
    return PromptedVit(module, prompts)
