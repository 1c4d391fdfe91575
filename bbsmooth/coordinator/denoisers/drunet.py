"""DRUNet: a residual U-Net that is told the noise level (Zhang, Li, Zuo, Zhang, Van Gool, Timofte, TPAMI 2022)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_NAMES = re.compile(r"m_(head|tail)\.weight|m_(down[123]|up[123]|body)\.\d+(\.res\.[02])?\.weight")
_MULTIPLE = 8
_LEVELS = 3


class Residual(nn.Module):
    """Features plus two convolutions of them.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        """Make the layers."""
        super().__init__()
        self.res = nn.Sequential(_three(width, width), nn.ReLU(), _three(width, width))

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, H, W)."""
        changed: Tensor = features + self.res(features)
        return changed


class DrUnet(nn.Module):
    """The network, by the names that KAIR and deepinv give its layers.

    Args:
        channels: of the images.
        widths: of the four levels, finest first.
        blocks: residual blocks a level.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], blocks: int) -> None:
        """Make the layers."""
        super().__init__()

        def residuals(width: int) -> list[nn.Module]:
            return [Residual(width) for _ in range(blocks)]

        self.m_head = _three(channels + 1, widths[0])
        for level in range(_LEVELS):
            fine, coarse = widths[level : level + 2]
            down = nn.Conv2d(fine, coarse, 2, stride=2, bias=False)
            up = nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False)
            self.add_module(f"m_down{level + 1}", nn.Sequential(*residuals(fine), down))
            self.add_module(f"m_up{level + 1}", nn.Sequential(up, *residuals(fine)))
        self.m_body = nn.Sequential(*residuals(widths[-1]))
        self.m_tail = _three(widths[0], channels)

    def forward(self, images: Tensor, sigma: float) -> Tensor:
        """Denoised images (B, C, H, W); sides that 8 does not divide are continued by their last pixels."""
        height, width = images.shape[-2:]
        noisy = F.pad(images, (0, -width % _MULTIPLE, 0, -height % _MULTIPLE), mode="replicate")
        features: Tensor = self.m_head(torch.cat([noisy, torch.full_like(noisy[:, :1], sigma)], 1))
        skips = [features]
        for level in range(_LEVELS):
            skips.append(self.get_submodule(f"m_down{level + 1}")(skips[-1]))
        features = self.m_body(skips[-1])
        for level in reversed(range(_LEVELS)):
            features = self.get_submodule(f"m_up{level + 1}")(features + skips[level + 1])
        shown: Tensor = self.m_tail(features + skips[0])
        return shown[..., :height, :width]


def recognises(names: set[str]) -> bool:
    """True for the weights of a DRUNet without biases, as published."""
    return all(map(_NAMES.fullmatch, names))


def build(tensors: Mapping[str, Tensor]) -> tuple[DrUnet, int]:
    """The network with these weights, and the channels that it takes, apart from the noise level.

    Raises:
        ValueError: they are not those of a whole network.
    """
    blocks = len({name.split(".")[1] for name in tensors if name.startswith("m_body.")})
    try:
        downs = [tensors[f"m_down{level + 1}.{blocks}.weight"] for level in range(_LEVELS)]
        widths = (downs[0].shape[1], *(down.shape[0] for down in downs))
        channels = tensors["m_tail.weight"].shape[0]
        network = DrUnet(channels, widths, blocks)
        network.load_state_dict(dict(tensors))
    except (KeyError, RuntimeError) as error:
        raise ValueError(str(error).splitlines()[-1].strip()) from None
    return network, channels


def _three(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
