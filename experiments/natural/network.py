"""The natural denoiser while it is trained: one network for all levels of noise, and its file."""

from __future__ import annotations

import json
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbsmooth.coordinator import CleanedImage, ResidualUNet, Scaling
from bbsmooth.coordinator.equaliser import UNITS, units_of
from bbsmooth.coordinator.natural import UNIT_LEVELS, folded, modulated
from bbsmooth.randomness import fork
from experiments.packing import packed

MEAN, SPREAD = 0.47, 0.25
"""About those of natural pictures, white = 1."""

_FEATURES = 32
_MIDDLE = 0.25


class ConditionalUNet(nn.Module):
    """A `ResidualUNet` for colour images whose blocks are told sigma, image by image.

    (B, 3, H, W) standardised noisy images and (B,) sigma to (B, 3, H, W), the network's part of `CleanedImage`.
    """

    def __init__(self, architecture: ResidualUNet, seed: int) -> None:
        """Blocks that begin as the identity, and noise levels that make no difference yet."""
        super().__init__()
        self.architecture = architecture
        initial = architecture.initial_weights(fork(seed, "natural"))
        self.weights = nn.ParameterDict(
            {name.replace(".", "/"): nn.Parameter(value) for name, value in initial.items()}
        )
        self.channels = [architecture.layers[name].outputs for name in modulated(architecture)]
        self.hidden = nn.Linear(1, _FEATURES)
        self.out = nn.Linear(_FEATURES, 2 * sum(self.channels))
        nn.init.normal_(self.hidden.weight, generator=fork(seed, "natural", "level"))
        for tensor in (self.hidden.bias, self.out.weight, self.out.bias):
            nn.init.zeros_(tensor)

    def forward(self, images: Tensor, sigma: Tensor) -> Tensor:
        """The network's output."""
        levels = self.out(torch.tanh(self.hidden((sigma / _MIDDLE).log()[:, None])))
        parts = iter(torch.split(levels, [size for outputs in self.channels for size in (outputs, outputs)], dim=1))
        return self._run(images, parts)

    def _run(self, images: Tensor, levels: Iterator[Tensor]) -> Tensor:
        """The layers in order, each block with the next gain and shift."""
        architecture, last = self.architecture, len(self.architecture.widths) - 1

        def layer(name: str, features: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
            weight, bias = (self.weights[f"{name}.{part}".replace(".", "/")] for part in ("weight", "bias"))
            return F.conv2d(features, weight, bias, stride=stride, padding=padding)

        def blocks(part: str, level: int, features: Tensor) -> Tensor:
            count = getattr(architecture, f"{part}_blocks")[level]
            for number in range(count):
                begun = layer(f"{part}.begin{level}_{number}", features, padding=1)
                gain, shift = (next(levels)[:, :, None, None] for _ in range(2))
                active = F.relu(torch.addcmul(begun + shift, begun, gain))
                features = features + layer(f"{part}.end{level}_{number}", active, padding=1)
            return features

        features, skips = layer("encoder.stem", images, padding=1), []
        for level in range(last):
            features = blocks("encoder", level, features)
            skips.append(features)
            features = layer(f"encoder.down{level}", features, stride=2)
        features = blocks("decoder", last, blocks("encoder", last, features))
        for level in reversed(range(last)):
            raised = F.interpolate(layer(f"decoder.up{level}", features), scale_factor=2, mode="nearest")
            features = blocks("decoder", level, raised + skips.pop())
        return layer("decoder.head", features, padding=1)

    def tensors(self) -> dict[str, Tensor]:
        """All weights under the names that the file gives them."""
        levels = {f"level.{name}": value for name, value in self.named_parameters() if not name.startswith("weights.")}
        layers = {name.replace("/", "."): value for name, value in self.weights.items()}
        return {name: value.detach() for name, value in (layers | levels).items()}


def with_units(architecture: ResidualUNet, tensors: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    """The tensors, and at each level the units of decoder channels and equaliser, on clean images (N, 3, H, W)."""
    found: dict[str, list[Tensor]] = {}
    nothing = {f"unit.{name}": torch.zeros(len(UNIT_LEVELS), 1) for name in (*architecture.decoder_layers, UNITS)}
    for number, sigma in enumerate(UNIT_LEVELS):
        weights, taps = folded(architecture, tensors | nothing, sigma), dict[str, Tensor]()
        noisy = images + sigma * torch.randn(images.shape, generator=fork(0, "natural", "units", number))
        network = lambda inputs: architecture.forward(weights, inputs, taps=taps)  # noqa: B023, E731 - used at once
        shown = CleanedImage().apply(network, noisy, Scaling(sigma=sigma, mean=MEAN, spread=SPREAD))
        for name, out in taps.items():
            found.setdefault(f"unit.{name}", []).append(out.std((0, 2, 3), correction=0))
        found.setdefault(f"unit.{UNITS}", []).append(units_of(shown, noisy))
    return tensors | {name: torch.stack(rows) for name, rows in found.items()}


def pack(architecture: ResidualUNet, tensors: dict[str, Tensor], trained_by: str) -> bytes:
    """The file's bytes: weights as float16, the rest as float32."""
    small = {name: tensor.half() if name in _convolutions(architecture) else tensor for name, tensor in tensors.items()}
    settings = json.dumps({"mean": MEAN, "spread": SPREAD}, sort_keys=True)
    return packed(small, {"format": "bbsmooth-natural-1", "settings": settings, "trained_by": trained_by})


def _convolutions(architecture: ResidualUNet) -> set[str]:
    return {f"{name}.weight" for name in architecture.layers}
