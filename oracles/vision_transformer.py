"""A plain vision transformer (Dosovitskiy et al. 2021), the network of `local-vit`.

Its state and its outputs are those of timm's, bit for bit, which a test holds. timm is not imported: that takes as long
as torch itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

_EPSILON = 1e-6  # of every layer norm


class VisionTransformer(nn.Module):
    """A classifier of square images: patches, a class token, learned positions, blocks with the norm before.

    Args:
        image_size: height and width of an image; a multiple of `patch_size`.
        patch_size: height and width of a patch.
        channels: of an image.
        classes: outputs.
        width: of a token; a multiple of `heads`.
        depth: blocks.
        heads: of the attention.
    """

    def __init__(
        self, *, image_size: int, patch_size: int, channels: int, classes: int, width: int, depth: int, heads: int
    ) -> None:
        """Make the layers, with weights to be loaded."""
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (image_size // patch_size) ** 2, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(channels, width, patch_size, stride=patch_size)})
        self.blocks = nn.Sequential(*(_Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, image_size, image_size) normalised images to (B, classes) logits."""
        patches = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1) + self.pos_embed
        logits: Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return logits


class _Block(nn.Module):
    """Attention and a perceptron, each after a norm and added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=_EPSILON)
        self.attn = _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=_EPSILON)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        hidden = nn.functional.gelu(self.mlp["fc1"](self.norm2(tokens)))
        added: Tensor = self.mlp["fc2"](hidden)
        return tokens + added


class _Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        parts = self.qkv(tokens).reshape(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(*parts.unbind(0)).transpose(1, 2).reshape(batch, count, width)
        projected: Tensor = self.proj(mixed)
        return projected
