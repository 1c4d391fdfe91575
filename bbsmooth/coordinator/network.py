"""Networks as pure functions of their weights: nothing is stored in a module, so nothing can be left changed.

The small one is `FoldedUNet`. The image is folded into channels (pixel-unshuffle), halved level by level by an encoder,
and rebuilt by a decoder that sees each level's features again (Ronneberger, Fischer, Brox, MICCAI 2015). Every
convolution of the decoder is a place for a scale and a shift per channel (FiLM: Perez et al., AAAI 2018); both are
folded into its weights, which costs nothing per image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]
"""Tensors by name: "<layer>.weight" (out, in, k, k) and "<layer>.bias" (out,)."""

TRIGGER = "decoder.trigger"

SMALLEST_SIDE = 8
_SIDE_OF_FINEST_GRID = 16
_COARSEST_GRID = 2
_LARGEST_UNSHUFFLE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """One layer: a `size` x `size` convolution from `inputs` to `outputs` channels, with bias."""

    inputs: int
    outputs: int
    size: int


class Architecture(Protocol):
    """A network's shape, apart from its weights, and how it runs."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the images."""
        ...

    @property
    def layers(self) -> Mapping[str, Convolution]:
        """All layers by name, in the order in which they run."""
        ...

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """Names of the layers that may be tuned."""
        ...

    @property
    def coarsest(self) -> tuple[int, int, int]:
        """(channels, height, width) of the features where encoder and decoder meet."""
        ...

    def initial_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Random weights, one weight and one bias for each layer."""
        ...

    def forward(self, weights: Weights, images: Tensor, *, taps: dict[str, Tensor] | None = None) -> Tensor:
        """The network's output for images.

        Args:
            weights: one weight and one bias for each layer; where there is a "decoder.trigger" of shape `coarsest`, it
                is added to what the decoder gets.
            images: (B, C, H, W) float32.
            taps: where given, receives the output (B, outputs, h, w) of every decoder layer by name.

        Returns:
            (B, C, H, W) float32, unbounded.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedUNet:
    """A small U-Net on images that are folded into channels.

    Args:
        image_shape: (channels, height, width) of the images.
        unshuffle: side of the pixel squares that are folded into channels.
        widths: channels of each level, finest first; each level has half the side of the one before it.

    Raises:
        ValueError: an image side below 8 pixels, or a number that is not positive.
    """

    image_shape: tuple[int, int, int]
    unshuffle: int
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if min(self.image_shape[1:]) < SMALLEST_SIDE or self.image_shape[0] < 1:
            raise ValueError(f"a coordinator needs images of at least 8 x 8 pixels, got shape {self.image_shape}")
        if self.unshuffle < 1 or not self.widths or min(self.widths) < 1:
            raise ValueError(f"unshuffle and widths must be positive, got {self.unshuffle} and {self.widths}")

    def __repr__(self) -> str:
        """Text that fingerprints are made of: that of the first coordinators, so that theirs stay."""
        return f"Architecture(image_shape={self.image_shape}, unshuffle={self.unshuffle}, widths={self.widths})"

    @classmethod
    def for_images(cls, image_shape: tuple[int, int, int], *, widths: tuple[int, ...] = (12, 24, 32, 32)) -> FoldedUNet:
        """A network whose finest grid has about 16 cells a side, and whose coarsest has at least 2.

        Args:
            image_shape: (channels, height, width).
            widths: channels of each level; a small image uses the first of them.
        """
        side = max(image_shape[1:])
        unshuffle = min(_LARGEST_UNSHUFFLE, 2 ** max(0, round(math.log2(max(side, 1) / _SIDE_OF_FINEST_GRID))))
        levels = 1 + int(math.log2(max(side / unshuffle / _COARSEST_GRID, 1)) + 0.5)
        return cls(image_shape=image_shape, unshuffle=unshuffle, widths=widths[:levels])

    @property
    def layers(self) -> dict[str, Convolution]:
        """All layers by name, in the order in which they run."""
        folded = self.image_shape[0] * self.unshuffle**2
        layers = {"encoder.stem": Convolution(inputs=folded, outputs=self.widths[0], size=3)}
        for level, (finer, coarser) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            layers[f"encoder.down{level}"] = Convolution(inputs=finer, outputs=coarser, size=2)
            layers[f"encoder.mix{level}"] = Convolution(inputs=coarser, outputs=coarser, size=3)
        for level in reversed(range(len(self.widths) - 1)):
            finer, coarser = self.widths[level : level + 2]
            layers[f"decoder.up{level}"] = Convolution(inputs=coarser, outputs=finer, size=1)
            layers[f"decoder.mix{level}"] = Convolution(inputs=finer, outputs=finer, size=3)
        layers["decoder.head"] = Convolution(inputs=self.widths[0], outputs=folded, size=3)
        return layers

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """Names of the layers that may be tuned."""
        return tuple(name for name in self.layers if name.startswith("decoder."))

    @property
    def coarsest(self) -> tuple[int, int, int]:
        """(channels, height, width) of the features where encoder and decoder meet."""
        multiple = self.unshuffle * 2 ** (len(self.widths) - 1)
        height, width = (-(-side // multiple) for side in self.image_shape[1:])
        return self.widths[-1], height, width

    def initial_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Random weights: uniform with variance 1 / (3 * inputs * size^2), biases alike."""
        return random_weights(self.layers, generator)

    def forward(self, weights: Weights, images: Tensor, *, taps: dict[str, Tensor] | None = None) -> Tensor:
        """The network's output for images; see `Architecture`."""
        layer = partial(convolve, weights, taps)
        height, width = images.shape[-2:]
        top, left, padded = _pad(self, images)
        features = F.pixel_unshuffle(padded, self.unshuffle).contiguous(memory_format=torch.channels_last)
        features = F.relu(layer("encoder.stem", features, padding=1))
        skips = []
        levels = range(len(self.widths) - 1)
        for level in levels:
            skips.append(features)
            features = F.relu(layer(f"encoder.down{level}", features, stride=2))
            features = features + F.relu(layer(f"encoder.mix{level}", features, padding=1))
        if TRIGGER in weights:
            features = features + weights[TRIGGER]
        for level in reversed(levels):
            raised = F.interpolate(layer(f"decoder.up{level}", features), scale_factor=2, mode="nearest")
            features = raised + skips.pop()
            features = features + F.relu(layer(f"decoder.mix{level}", F.relu(features), padding=1))
        out = F.pixel_shuffle(layer("decoder.head", features, padding=1), self.unshuffle)
        return out[..., top : top + height, left : left + width].contiguous()


def random_weights(layers: Mapping[str, Convolution], generator: torch.Generator) -> dict[str, Tensor]:
    """One weight and one bias a layer: uniform with variance 1 / (3 * inputs * size^2)."""
    weights = {}
    for name, layer in layers.items():
        bound = 1 / math.sqrt(layer.inputs * layer.size**2)
        shape = (layer.outputs, layer.inputs, layer.size, layer.size)
        for part, sizes in (("weight", shape), ("bias", (layer.outputs,))):
            draws = torch.rand(sizes, generator=generator)
            weights[f"{name}.{part}"] = ((2 * draws - 1) * bound).contiguous(memory_format=_layout(sizes))
    return weights


def _layout(shape: tuple[int, ...]) -> torch.memory_format:
    return torch.channels_last if len(shape) == 4 else torch.contiguous_format


def convolve(
    weights: Weights, taps: dict[str, Tensor] | None, name: str, features: Tensor, stride: int = 1, padding: int = 0
) -> Tensor:
    """One layer's output (B, outputs, h, w), put into `taps` where it is a layer of the decoder."""
    out = F.conv2d(features, weights[f"{name}.weight"], weights[f"{name}.bias"], stride=stride, padding=padding)
    if taps is not None and name.startswith("decoder."):
        taps[name] = out
    return out


def _pad(architecture: FoldedUNet, images: Tensor) -> tuple[int, int, Tensor]:
    """Zeros on all four sides, so that every level halves exactly: rows on top, columns on the left, padded images."""
    multiple = architecture.unshuffle * 2 ** (len(architecture.widths) - 1)
    rows, columns = (-size % multiple for size in images.shape[-2:])
    top, left = rows // 2, columns // 2
    return top, left, F.pad(images, (left, columns - left, top, rows - top))
