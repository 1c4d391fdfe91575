"""A third party's ResNet-20 for CIFAR-10 as an oracle: `module:experiments/tuning/resnet20.py:answer`.

The weights stay where they are: the environment's BBSMOOTH_SHARED names the folder that holds
`models/cifar10_resnet20.safetensors`; without it, `../shared` beside the repository.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from oracles import Classes
from oracles.local import LocalOracle, Normalisation
from oracles.owned import OwnedModel

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NORMALISATION = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
IMAGE_SHAPE = (3, 32, 32)
_ARCHITECTURE = "resnet20-option-a"
_STAGES = ((16, 1), (32, 2), (64, 2))
_BLOCKS = 3


def shared() -> Path:
    """The folder of data and weights that belong to others."""
    return Path(os.environ.get("BBSMOOTH_SHARED") or Path(__file__).resolve().parents[3] / "shared")


class Block(nn.Module):
    """Two convolutions and a shortcut without weights: every other pixel, new channels zero (option A).

    He, Zhang, Ren, Sun, CVPR 2016, section 4.2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Make the layers of a block from `inputs` to `outputs` channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self._stride = stride
        self._added = outputs - inputs

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(features)))))
        before = self._added // 2
        kept = features[:, :, :: self._stride, :: self._stride]
        return F.relu(out + F.pad(kept, (0, 0, 0, 0, before, self._added - before)))


class ResNet20(nn.Module):
    """(B, 3, 32, 32) normalised images to (B, 10) logits."""

    def __init__(self) -> None:
        """Make three stages of three blocks."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        inputs = 16
        for number, (outputs, stride) in enumerate(_STAGES, start=1):
            blocks = [Block(inputs, outputs, stride)] + [Block(outputs, outputs, 1) for _ in range(_BLOCKS - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            inputs = outputs
        self.linear = nn.Linear(inputs, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        features = F.relu(self.bn1(self.conv1(images)))
        for number in range(1, len(_STAGES) + 1):
            features = self.get_submodule(f"layer{number}")(features)
        logits: Tensor = self.linear(features.mean((2, 3)))
        return logits


def network(folder: Path | None = None) -> ResNet20:
    """The network with the third party's weights, set to evaluation."""
    module = ResNet20()
    weights = load_file((folder or shared()) / "models" / "cifar10_resnet20.safetensors")
    counters = {name: count for name, count in module.state_dict().items() if name.endswith("num_batches_tracked")}
    module.load_state_dict(counters | weights)
    return module.eval().requires_grad_(False)


def owned() -> OwnedModel:
    """The network as somebody has it who owns it; for references only."""
    return OwnedModel(network(), _ARCHITECTURE, CLASSES, IMAGE_SHAPE, NORMALISATION)


@cache
def oracle() -> LocalOracle:
    """The network, to be queried."""
    return LocalOracle(
        network(),
        name="resnet20",
        architecture=_ARCHITECTURE,
        classes=Classes(CLASSES),
        image_shape=IMAGE_SHAPE,
        normalisation=NORMALISATION,
    )


def answer(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits (N, 10) for images (N, 3, 32, 32) in [0, 1]."""
    scores = oracle().query(torch.from_numpy(images)).scores
    assert scores is not None
    return scores.numpy()
