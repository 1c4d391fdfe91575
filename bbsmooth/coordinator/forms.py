"""Forms: from the network's output to the image that the oracle sees."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Network = Callable[[Tensor], Tensor]
"""(B, C, H, W) of about unit variance -> (B, C, H, W), unbounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Sizes that keep the network's input and target near unit variance.

    Args:
        sigma: standard deviation of the noise, white = 1.
        mean: mean pixel of the clean images, white = 1.
        spread: standard deviation of the clean images' pixels, white = 1.

    Raises:
        ValueError: sigma or spread is not a positive number.
    """

    sigma: float
    mean: float
    spread: float

    def __post_init__(self) -> None:
        """Refuse what would divide by zero."""
        if not (self.sigma > 0 and self.spread > 0 and math.isfinite(self.sigma + self.mean + self.spread)):
            raise ValueError(f"sigma and spread must be positive, got {self.sigma} and {self.spread}")

    def standardise(self, images: Tensor) -> Tensor:
        """Noisy images with mean about 0 and variance about 1."""
        return (images - self.mean) / math.hypot(self.sigma, self.spread)


class Form(Protocol):
    """Turns the network's output into an image."""

    def apply(self, network: Network, images: Tensor, scaling: Scaling) -> Tensor:
        """(B, C, H, W) noisy images -> images for the oracle, before they are clipped to [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class CleanedImage:
    """The image for the oracle is an estimate of the clean image.

    With s = sigma, d = spread, t^2 = s^2 + d^2 and x counted from the mean: x d^2 / t^2 + network(x / t) s d / t, so
    that the network's best output has unit variance at any noise level (Karras et al., NeurIPS 2022, Table 1).
    """

    def apply(self, network: Network, images: Tensor, scaling: Scaling) -> Tensor:
        """Estimates of the clean images (B, C, H, W), unclipped."""
        total = math.hypot(scaling.sigma, scaling.spread)
        keep = (scaling.spread / total) ** 2
        change = scaling.sigma * scaling.spread / total
        return scaling.mean + keep * (images - scaling.mean) + change * network(scaling.standardise(images))


@dataclass(frozen=True, slots=True)
class AddedPrompt:
    """The image for the oracle is the noisy image plus a bounded prompt: x + strength * tanh(network(x)).

    Oh et al. (BlackVIP), CVPR 2023, equation 3, where `strength` is epsilon.

    Args:
        strength: largest change of a pixel, white = 1. Below about 2 sigma it cannot take the noise away.

    Raises:
        ValueError: `strength` is not a positive number.
    """

    strength: float

    def __post_init__(self) -> None:
        """Refuse a prompt that cannot change a pixel."""
        if not (self.strength > 0 and math.isfinite(self.strength)):
            raise ValueError(f"the strength of a prompt must be a positive number, got {self.strength}")

    def apply(self, network: Network, images: Tensor, scaling: Scaling) -> Tensor:
        """Prompted images (B, C, H, W), unclipped."""
        return images + self.strength * torch.tanh(network(scaling.standardise(images)))
