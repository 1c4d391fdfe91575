"""Processor time of the shipped denoisers beside a bare PyTorch module of the same network.

`python -m experiments.natural.cost` writes `cost.json`: medians of alternating pairs in one run, one thread.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbsmooth.coordinator import Autoencoder, CleanedImage, CoordinatedOracle, ResidualUNet
from bbsmooth.coordinator.natural import SHIPPED, natural
from bbsmooth.memory import keep_memory
from bbsmooth.randomness import fork
from oracles import HalfspaceOracle

RESULT = Path(__file__).parent / "cost.json"
SIGMA = 0.25
BATCH = 64
PAIRS = 61


class Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        """Make both layers."""
        super().__init__()
        self.begin, self.end = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape."""
        out: Tensor = features + self.end(F.relu(self.begin(features)))
        return out


class Bare(nn.Module):
    """The network as one would write it in PyTorch; (B, C, H, W) noisy images to clean ones, clipped."""

    def __init__(self, made: Autoencoder) -> None:
        """Make all layers with the weights of a coordinator."""
        super().__init__()
        shape, self.scaling = made.architecture, made.scaling
        assert isinstance(shape, ResidualUNet)
        layer = {name: self._layer(made, name, each.size) for name, each in shape.layers.items()}
        last = len(shape.widths) - 1

        def blocks(part: str, level: int) -> nn.Sequential:
            found = [Block(shape.widths[level]) for _ in range(getattr(shape, f"{part}_blocks")[level])]
            for number, block in enumerate(found):
                block.begin, block.end = (layer[f"{part}.{end}{level}_{number}"] for end in ("begin", "end"))
            return nn.Sequential(*found)

        self.stem, self.head = layer["encoder.stem"], layer["decoder.head"]
        self.encoder, self.decoder = (
            nn.ModuleList(blocks(part, level) for level in range(last + 1)) for part in ("encoder", "decoder")
        )
        self.down, self.up = (
            nn.ModuleList(layer[f"{name}{level}"] for level in range(last)) for name in ("encoder.down", "decoder.up")
        )

    @staticmethod
    def _layer(made: Autoencoder, name: str, size: int) -> nn.Conv2d:
        weight, bias = made.weights[f"{name}.weight"], made.weights[f"{name}.bias"]
        stride, padding = (2, 0) if size == 2 else (1, size // 2)
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], size, stride=stride, padding=padding)
        layer.weight, layer.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        return layer

    def forward(self, images: Tensor) -> Tensor:
        """Clean images."""
        return CleanedImage().apply(self._network, images, self.scaling).clamp(0, 1)

    def _network(self, features: Tensor) -> Tensor:
        features, skips = self.stem(features), []
        for blocks, down in zip(self.encoder, self.down, strict=False):
            features = blocks(features)
            skips.append(features)
            features = down(features)
        features = self.decoder[-1](self.encoder[-1](features))
        for level in reversed(range(len(self.up))):
            features = F.interpolate(self.up[level](features), scale_factor=2, mode="nearest") + skips.pop()
            features = self.decoder[level](features)
        out: Tensor = self.head(features)
        return out


def main() -> None:
    """Measure, print, and write."""
    torch.set_num_threads(1)
    keep_memory()  # for both sides, as the command does
    result = {size: _forward(size) for size in SHIPPED}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def _forward(size: str) -> dict[str, float]:
    """Of cleaning one batch of colour images of 32 x 32 pixels."""
    made = natural((3, 32, 32), SIGMA, size=size)
    front = CoordinatedOracle(made, made.initial_parameters(), HalfspaceOracle(torch.ones(3, 32, 32), offset=0.0))
    bare = Bare(made).eval()
    images = torch.rand(BATCH, 3, 32, 32, generator=fork(0))

    def alone() -> Tensor:
        with torch.inference_mode():
            cleaned: Tensor = bare(images.contiguous(memory_format=torch.channels_last))
        return cleaned

    torch.testing.assert_close(front.show(images), alone(), atol=1e-4, rtol=0)
    return _pairs(lambda: front.show(images), alone, BATCH)


def _pairs(ours: Callable[[], Any], bare: Callable[[], Any], images: int) -> dict[str, float]:
    """Microseconds of the processor an image, and the median ratio of pairs that take turns."""
    times: list[tuple[float, float]] = []
    for number in range(PAIRS + 1):
        order = (ours, bare) if number % 2 else (bare, ours)
        taken = {}
        for run in order:
            start = time.process_time()
            run()
            taken[run] = time.process_time() - start
        times.append((taken[ours], taken[bare]))
    counted = times[1:]  # the first pair warms up
    return {
        "ours_us": round(1e6 * statistics.median(one for one, _ in counted) / images, 1),
        "bare_us": round(1e6 * statistics.median(other for _, other in counted) / images, 1),
        "ratio": round(statistics.median(one / other for one, other in counted), 3),
    }


if __name__ == "__main__":
    main()
