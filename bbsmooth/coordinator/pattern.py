"""A pattern that is added to every image shown, in few cosine waves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from bbsmooth.coordinator.dct import cosines
from bbsmooth.coordinator.network import Architecture, Weights

PATTERN = "output.pattern"

_PIXELS_PER_UNIT = 0.05


@dataclass(frozen=True, slots=True)
class PatternSpace:
    """The lowest waves of a pattern that is added to all images (a visual prompt: Bahng et al., 2022), by channel.

    A parameter of 1 changes the pixels by 0.05 in root mean square, white = 1, as the equaliser's do.

    Args:
        count: waves a side, so count^2 numbers a channel.

    Raises:
        ValueError: less than 1.
    """

    count: int

    def __post_init__(self) -> None:
        """Refuse a pattern of nothing."""
        if self.count < 1:
            raise ValueError(f"a pattern needs at least 1 wave a side, got {self.count}")

    def size_for(self, image_shape: tuple[int, int, int]) -> int:
        """Numbers of the pattern on images (C, H, W)."""
        return math.prod(self._sides(image_shape))

    def outputs(self, image_shape: tuple[int, int, int], weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """Weights with the pattern of the parameters (P,) added to the one that they may hold already.

        Raises:
            ValueError: that one has another number of waves.
        """
        own, held = parameters.view(self._sides(image_shape)), weights.get(PATTERN)
        if held is not None and held.shape != own.shape:
            raise ValueError(f"this coordinator has a pattern of {tuple(held.shape)} waves, not {tuple(own.shape)}")
        return dict(weights) | {PATTERN: own if held is None else held + own}

    def size(self, architecture: Architecture) -> int:
        """Numbers of the pattern on the images of a network."""
        return self.size_for(architecture.image_shape)

    def weights(self, architecture: Architecture, weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """See `outputs`."""
        return self.outputs(architecture.image_shape, weights, parameters)

    def _sides(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        channels, height, width = image_shape
        return channels, min(self.count, height), min(self.count, width)


def patterned(shown: Tensor, waves: Tensor) -> Tensor:
    """Images (B, C, H, W) plus the pattern of the waves (C, k, l), orthonormal cosines of a size that 1 is 0.05."""
    height, width = shown.shape[-2:]
    rows, columns = cosines(height, waves.shape[1]).to(shown), cosines(width, waves.shape[2]).to(shown)
    scale = _PIXELS_PER_UNIT * math.sqrt(height * width)
    return shown + scale * (rows.T @ waves.to(shown) @ columns)
