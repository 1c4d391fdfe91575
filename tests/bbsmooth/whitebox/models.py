"""Small models for the tests of this folder."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

VIT = "vit_tiny_patch16_224"
VIT_ARGUMENTS: dict[str, Any] = {
    "img_size": 16,
    "patch_size": 4,
    "in_chans": 1,
    "num_classes": 3,
    "embed_dim": 16,
    "depth": 2,
    "num_heads": 2,
}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any], tuple[int, int, int]]] = {
    "vit": (VIT, VIT_ARGUMENTS, (1, 16, 16)),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 32, "window_size": 4, "embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2), "num_classes": 3},
        (3, 32, 32),
    ),
    "resnet": ("resnet18", {"num_classes": 3}, (3, 32, 32)),
    "convnext": ("convnext_atto", {"num_classes": 3}, (3, 32, 32)),
    "hybrid": (
        "vit_tiny_r_s16_p8_224",
        {"img_size": 32, "patch_size": 1, "embed_dim": 16, "depth": 1, "num_heads": 2, "num_classes": 3},
        (3, 32, 32),
    ),
    "mixer": ("mixer_s16_224", {"img_size": 32, "num_classes": 3}, (3, 32, 32)),
}


def build(kind: str = "vit", *, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A random model, and one random input (1, C, H, W)."""
    name, arguments, shape = ARCHITECTURES[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module: nn.Module = timm.create_model(name, **arguments)
        for weight in module.get_classifier().parameters():  # type: ignore[operator]  # some start at zero
            nn.init.normal_(weight)
        return module.eval(), torch.rand(1, *shape)
