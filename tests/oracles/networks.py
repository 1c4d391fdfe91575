"""Networks as a user's file builds them, for the tests of `torch:`; it is loaded by its path."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """A vision transformer of torch's own layers, for images (B, 1, 16, 16)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, 16, 4, 4)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.classify = nn.Linear(16, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.body(self.embed(images).flatten(2).transpose(1, 2))
        logits: Tensor = self.classify(tokens.mean(1))
        return logits


class Convolutional(nn.Module):
    """Convolutions with batch statistics; its last two layers learn their size from the first images."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1))
        self.hidden, self.last = nn.LazyLinear(5), nn.LazyLinear(3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(torch.relu(self.hidden(self.body(images).flatten(1))))
        return logits


class Fully(nn.Module):
    """Convolutions to the end: no linear layer classifies."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 3, 1))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(images).mean((2, 3))
        return logits


class Two(nn.Module):
    """Two linear layers have an output for each class; the one that is called last classifies, and is made first."""

    def __init__(self) -> None:
        super().__init__()
        self.classify, self.before = nn.Linear(3, 3), nn.Linear(256, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.before(images.flatten(1)))
        return logits


class Pair(Encoder):
    """Gives features beside its logits."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images), images  # type: ignore[return-value]


def halved() -> nn.Module:
    return Encoder().bfloat16()


encoder, convolutional, fully, two, pair = Encoder, Convolutional, Fully, Two, Pair


def function(images: Tensor) -> Tensor:
    return images


def number() -> int:
    return 3


def failing() -> nn.Module:
    raise ValueError("no weights today")
