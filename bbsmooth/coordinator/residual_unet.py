"""The larger network: a U-Net of residual blocks at full resolution, for natural images of any size.

Its blocks are those of DRUNet (Zhang et al., "Plug-and-play image restoration with deep denoiser prior", TPAMI 2022),
x + conv(relu(conv(x))), without a batch statistic, so that an image is cleaned alike in any company.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.coordinator.network import SMALLEST_SIDE, TRIGGER, Convolution, Weights, convolve, random_weights

_PIXELS_A_PASS = 2**16
"""Of an image's finest features; more leave the processor's cache between two layers."""


def images_a_pass(height: int, width: int) -> int:
    """Images that pass a network together on a processor: a power of two, so that batches split evenly."""
    return 1 << (max(1, _PIXELS_A_PASS // (height * width)).bit_length() - 1)


_SIZES = MappingProxyType(
    {
        "small": ((8, 16, 24, 32), (0, 1, 1, 1), (1, 1, 1, 0)),
        "base": ((16, 32, 64, 128), (0, 1, 1, 1), (1, 1, 1, 0)),
        "large": ((32, 64, 96, 128), (1, 1, 1, 2), (1, 1, 2, 1)),
    }
)
SIZES = tuple(_SIZES)
"""Names of the sizes: 6, 31 and 129 million multiplications for a colour image of 32 x 32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualUNet:
    """A U-Net that works on every pixel; only the height and width of an image decide what it costs.

    Args:
        image_shape: (channels, height, width) of the images.
        widths: channels of each level, finest first; each level has half the side of the one before it.
        encoder_blocks: residual blocks of each level on the way down.
        decoder_blocks: likewise on the way up.

    Raises:
        ValueError: an image side below 8 pixels, or numbers that fit no network.
    """

    image_shape: tuple[int, int, int]
    widths: tuple[int, ...]
    encoder_blocks: tuple[int, ...]
    decoder_blocks: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if min(self.image_shape[1:]) < SMALLEST_SIDE or self.image_shape[0] < 1:
            raise ValueError(f"a coordinator needs images of at least 8 x 8 pixels, got shape {self.image_shape}")
        if not self.widths or min(self.widths) < 1 or min(*self.encoder_blocks, *self.decoder_blocks, 0) < 0:
            raise ValueError(f"widths must be positive and blocks not negative, got {self}")
        if not len(self.widths) == len(self.encoder_blocks) == len(self.decoder_blocks):
            raise ValueError(f"every level needs its blocks on both ways, got {self}")

    @classmethod
    def of_size(cls, size: str, image_shape: tuple[int, int, int]) -> Self:
        """The network that is called "small", "base" or "large".

        Raises:
            ValueError: none is called so, or the images are too small.
        """
        if size not in _SIZES:
            raise ValueError(f"the size of a network must be one of {', '.join(SIZES)}, got {size!r}")
        widths, encoder, decoder = _SIZES[size]
        return cls(image_shape=image_shape, widths=widths, encoder_blocks=encoder, decoder_blocks=decoder)

    @property
    def layers(self) -> dict[str, Convolution]:
        """All layers by name, in the order in which they run."""
        last, channels = len(self.widths) - 1, self.image_shape[0]
        layers = {"encoder.stem": Convolution(inputs=channels, outputs=self.widths[0], size=3)}
        for level, width in enumerate(self.widths):
            layers |= _block_layers("encoder", level, self.encoder_blocks[level], width)
            if level < last:
                layers[f"encoder.down{level}"] = Convolution(inputs=width, outputs=self.widths[level + 1], size=2)
        for level, width in reversed(list(enumerate(self.widths))):
            if level < last:
                layers[f"decoder.up{level}"] = Convolution(inputs=self.widths[level + 1], outputs=width, size=1)
            layers |= _block_layers("decoder", level, self.decoder_blocks[level], width)
        layers["decoder.head"] = Convolution(inputs=self.widths[0], outputs=channels, size=3)
        return layers

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """Names of the layers that may be tuned."""
        return tuple(name for name in self.layers if name.startswith("decoder."))

    @property
    def coarsest(self) -> tuple[int, int, int]:
        """(channels, height, width) of the features where encoder and decoder meet."""
        multiple = 2 ** (len(self.widths) - 1)
        height, width = (-(-side // multiple) for side in self.image_shape[1:])
        return self.widths[-1], height, width

    def initial_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Random weights, but zeros where a block ends, so that all blocks begin as the identity."""
        weights = random_weights(self.layers, generator)
        return {name: torch.zeros_like(tensor) if ".end" in name else tensor for name, tensor in weights.items()}

    def forward(self, weights: Weights, images: Tensor, *, taps: dict[str, Tensor] | None = None) -> Tensor:
        """The network's output for images; see `Architecture`. A few images at a time where they are large."""
        height, width = images.shape[-2:]
        if taps is not None or torch.is_grad_enabled():
            return self._pass(weights, images, taps)
        together = images_a_pass(height, width)
        if len(images) <= together:
            return self._pass(weights, images, None)
        return torch.cat([self._pass(weights, part, None) for part in torch.split(images, together)])

    def _pass(self, weights: Weights, images: Tensor, taps: dict[str, Tensor] | None) -> Tensor:
        """The output for images (B, C, H, W)."""
        layer, last = partial(convolve, weights, taps), len(self.widths) - 1

        def blocks(part: str, level: int, features: Tensor) -> Tensor:
            count = self.encoder_blocks[level] if part == "encoder" else self.decoder_blocks[level]
            for begin, end in _block_names(part, level, count):
                features = features + layer(end, F.relu(layer(begin, features, padding=1)), padding=1)
            return features

        height, width = images.shape[-2:]
        right, below = (-side % 2**last for side in (width, height))
        padded = F.pad(images, (0, right, 0, below), mode="replicate") if right or below else images
        features = layer("encoder.stem", padded.contiguous(memory_format=torch.channels_last), padding=1)
        skips = []
        for level in range(last):
            features = blocks("encoder", level, features)
            skips.append(features)
            features = layer(f"encoder.down{level}", features, stride=2)
        features = blocks("encoder", last, features)
        if TRIGGER in weights:
            features = features + weights[TRIGGER]
        features = blocks("decoder", last, features)
        for level in reversed(range(last)):
            raised = F.interpolate(layer(f"decoder.up{level}", features), scale_factor=2, mode="nearest")
            features = blocks("decoder", level, raised + skips.pop())
        return layer("decoder.head", features, padding=1)[..., :height, :width].contiguous()


def _block_names(part: str, level: int, count: int) -> Iterator[tuple[str, str]]:
    """Names of the two layers of each block of a level."""
    for number in range(count):
        yield f"{part}.begin{level}_{number}", f"{part}.end{level}_{number}"


def _block_layers(part: str, level: int, count: int, width: int) -> dict[str, Convolution]:
    """The layers of a level's blocks by name."""
    layer = Convolution(inputs=width, outputs=width, size=3)
    return {name: layer for pair in _block_names(part, level, count) for name in pair}
