"""A small classifier that stands in for the oracle where gradients are wanted, as a pure function of its weights.

The image is folded into channels (pixel-unshuffle) and halved level by level; each level has one residual block with
group normalisation (He et al., CVPR 2016; Wu & He, ECCV 2018), which needs no running statistics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_SIDE_OF_FINEST_GRID = 16
_LARGEST_FOLD = 8
_COARSEST_GRID = 4
_GROUPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrogate:
    """Description of the surrogate, apart from its weights.

    Args:
        image_shape: (channels, height, width) of the images that the oracle is shown.
        num_classes: K.
        widths: channels of each level, finest first, each a multiple of 4; small images use the first of them.

    Raises:
        ValueError: a size that is not positive, or a width that is no multiple of 4.
    """

    image_shape: tuple[int, int, int]
    num_classes: int
    widths: tuple[int, ...] = (48, 96, 128)

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if min(*self.image_shape, self.num_classes) < 1 or not self.widths or any(w % _GROUPS for w in self.widths):
            raise ValueError(f"sizes must be positive and widths multiples of {_GROUPS}, got {self}")

    @property
    def fold(self) -> int:
        """Side of the pixel squares that are folded into channels: a power of two, so that about 16 cells are left."""
        side = max(self.image_shape[1:])
        return min(_LARGEST_FOLD, 1 << max(0, round(math.log2(side / _SIDE_OF_FINEST_GRID))))

    @property
    def levels(self) -> int:
        """Levels in use: the coarsest has at least 4 cells a side, as far as the image has them."""
        cells = max(self.image_shape[1:]) / self.fold
        return min(len(self.widths), 1 + max(0, int(math.log2(max(cells / _COARSEST_GRID, 1)) + 0.5)))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all weights."""
        inputs = self.image_shape[0] * self.fold**2
        shapes: dict[str, tuple[int, ...]] = {}
        for level, width in enumerate(self.widths[: self.levels]):
            size = 3 if level == 0 else 2
            shapes |= {f"{level}.in.weight": (width, inputs, size, size), f"{level}.in.bias": (width,)}
            for part in ("first", "second"):
                shapes |= {f"{level}.{part}.weight": (width, width, 3, 3), f"{level}.{part}.bias": (width,)}
                shapes |= {f"{level}.{part}.scale": (width,)}
            inputs = width
        return shapes | {"head.weight": (self.num_classes, inputs), "head.bias": (self.num_classes,)}

    def initial_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Random weights of variance 2 / fan-in (He et al., ICCV 2015), scales one, biases and the head zero."""
        weights = {}
        for name, shape in self.shapes.items():
            if name.endswith("scale"):
                weights[name] = torch.ones(shape)
            elif len(shape) == 4:
                deviation = math.sqrt(2 / math.prod(shape[1:]))
                draws = torch.randn(shape, generator=generator) * deviation
                weights[name] = in_layout(draws)
            else:
                weights[name] = torch.zeros(shape)
        return weights

    def logits(self, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
        """(B, K) for images (B, C, H, W) in [0, 1]."""
        height, width = images.shape[-2:]
        padded = F.pad(images - 0.5, (0, -width % self.fold, 0, -height % self.fold))
        features = F.pixel_unshuffle(padded, self.fold).contiguous(memory_format=torch.channels_last)
        for level in range(self.levels):
            stride, padding = (1, 1) if level == 0 else (2, 0)
            entry = weights[f"{level}.in.weight"], weights[f"{level}.in.bias"]
            features = F.relu(F.conv2d(features, *entry, stride=stride, padding=padding))
            change = F.relu(self._normalised(weights, f"{level}.first", features))
            features = F.relu(features + self._normalised(weights, f"{level}.second", change))
        return F.linear(features.mean((2, 3)), weights["head.weight"], weights["head.bias"])

    def _normalised(self, weights: Mapping[str, Tensor], layer: str, features: Tensor) -> Tensor:
        out = F.conv2d(features, weights[f"{layer}.weight"], padding=1)
        return F.group_norm(out, _GROUPS, weights[f"{layer}.scale"], weights[f"{layer}.bias"])


def in_layout(tensor: Tensor) -> Tensor:
    """The same weights, those of convolutions with channels last."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
