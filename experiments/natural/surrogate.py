"""A small residual network for CIFAR-10 that stands beside an oracle and teaches a denoiser, without a query.

`python -m experiments.natural.surrogate` trains it on one core in about 20 minutes and leaves it in `runs/tuning`,
where `python -m experiments.natural.run resnet20 --rows natural-taught` finds it. It has seen nothing of the oracle.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bbsmooth.randomness import fork
from experiments.tuning.worlds import FOLDER, WORLDS, Labelled

FILE = FOLDER / "surrogate.safetensors"
EPOCHS, BATCH, PEAK, MOMENTUM, DECAY, SMOOTHING = 10, 256, 0.25, 0.9, 5e-4, 0.1
_WARM_UP, _SHIFT, _WIDTH = 0.2, 4, 32
_MEAN, _SPREAD, _SCALE = 0.47, 0.25, 0.25


class _Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_layer(width, width), *_layer(width, width))

    def forward(self, features: Tensor) -> Tensor:
        added: Tensor = features + self.layers(features)
        return added


class SmallResNet(nn.Module):
    """Images (B, 3, 32, 32), white at 1, to logits (B, 10): a ResNet-9, 1.2 million weights."""

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        w = _WIDTH
        self.features = nn.Sequential(
            *(*_layer(3, w), *_layer(w, 2 * w), nn.MaxPool2d(2), _Residual(2 * w)),
            *(*_layer(2 * w, 4 * w), nn.MaxPool2d(2), *_layer(4 * w, 6 * w), nn.MaxPool2d(2), _Residual(6 * w)),
        )
        self.head = nn.Linear(6 * w, 10)

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        features = self.features(((images - _MEAN) / _SPREAD).contiguous(memory_format=torch.channels_last))
        logits: Tensor = _SCALE * self.head(features.amax((2, 3)))
        return logits


def _layer(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def surrogate() -> Callable[[Tensor], Tensor]:
    """The trained network, in evaluation."""
    network = SmallResNet().to(memory_format=torch.channels_last)
    network.load_state_dict(load_file(FILE))
    evaluated: nn.Module = network.eval().requires_grad_(False)
    return evaluated


def main() -> None:
    """Train it, and say how good it is."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    world = WORLDS["resnet20"](0.25)
    network = SmallResNet().to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(network.parameters(), lr=PEAK, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)
    steps = EPOCHS * (len(world.train.images) // BATCH)
    up = _WARM_UP * steps
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / up, (steps - step) / (steps - up))
    )
    for epoch in range(EPOCHS):
        network.train()
        loss = _epoch(network, optimiser, schedule, world.train, epoch)
        print(
            f"epoch {epoch + 1} of {EPOCHS}, loss {loss:.3f}, test accuracy {_accuracy(network, world.test):.3f}",
            flush=True,
        )
    FILE.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, FILE)


def _epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    train: Labelled,
    epoch: int,
) -> float:
    """One pass over the images, half of each batch mirrored, all shifted; the last loss."""
    generator = fork(0, "surrogate", epoch)
    order, last = torch.randperm(len(train.images), generator=generator), 0.0
    for first in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[first : first + BATCH]
        images = train.images[chosen].float() / 255
        images[: BATCH // 2] = images[: BATCH // 2].flip(3)
        images = F.pad(images, (_SHIFT,) * 4, mode="reflect")
        row, column = torch.randint(2 * _SHIFT + 1, (2,), generator=generator).tolist()
        images = images[:, :, row : row + 32, column : column + 32]
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
        loss = F.cross_entropy(logits.float(), train.labels[chosen], label_smoothing=SMOOTHING)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        last = float(loss)
    return last


@torch.inference_mode()
def _accuracy(network: nn.Module, test: Labelled) -> float:
    network.eval()
    right = [
        (network(images.float() / 255).argmax(1) == labels).float()
        for images, labels in zip(torch.split(test.images, 500), torch.split(test.labels, 500), strict=True)
    ]
    return float(torch.cat(right).mean())


if __name__ == "__main__":
    main()
