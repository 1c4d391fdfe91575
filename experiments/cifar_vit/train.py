"""Train a small vision transformer on CIFAR-10, on one GPU.

`python -m experiments.cifar_vit.train --data hf:FOLDER --out cifar_vit.safetensors` writes weights that
`timm:vit_tiny_patch16_224?checkpoint=cifar_vit.safetensors` opens. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.transforms import v2

from bbsmooth.data import load
from experiments.packing import packed
from oracles.checkpoint import Settings
from oracles.local import pick_device
from oracles.timm_models import build

RECIPE = "cifar-vit 1"
ARCHITECTURE = "vit_tiny_patch16_224"
MODEL_ARGS: dict[str, Any] = {
    "img_size": 32,
    "patch_size": 4,
    "num_classes": 10,
    "embed_dim": 256,
    "depth": 7,
    "num_heads": 4,
    "mlp_ratio": 2.0,
}
"""ViT-Lite-7/4 of Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", arXiv 2104.05704."""

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10's training images, as everybody uses them
NOISE_LEVELS = (0.12, 0.25, 0.5)
_LARGEST = 8_000_000
"""Bytes of a file that can be kept beside the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that shapes the weights besides the images.

    Attributes:
        epochs: passes over the images.
        batch_size: images a step.
        peak_rate: highest learning rate of the one-cycle schedule.
        weight_decay: of AdamW.
        smoothing: label smoothing.
        average: decay of the running average of the weights, which is what is kept.
        shift: pixels.
        group: images that get the same policy of AutoAugment in one step.
        mixup: alpha of mixup; cutmix takes 1; each batch gets one of the two.
        seed: of initialisation, order and augmentation.
    """

    epochs: int = 300
    batch_size: int = 256
    peak_rate: float = 1e-3
    weight_decay: float = 0.03
    smoothing: float = 0.1
    average: float = 0.999
    shift: int = 4
    group: int = 16
    mixup: float = 0.8
    seed: int = 0


def shifted(images: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Each image moved by up to `shift` pixels either way and mirrored or not, black coming in; (B, C, H, W) uint8."""
    count, _, height, width = images.shape
    padded = F.pad(images, (shift,) * 4)
    down, right = torch.randint(2 * shift + 1, (2, count), generator=generator).to(images.device)
    mirrored = (torch.rand(count, generator=generator) < 0.5).to(images.device)
    rows = down[:, None] + torch.arange(height, device=images.device)
    columns = right[:, None] + torch.arange(width, device=images.device)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    numbers = torch.arange(count, device=images.device)
    return padded.permute(0, 2, 3, 1)[numbers[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class Augmentation:
    """Shifts, mirrors, AutoAugment's policy for CIFAR-10, and mixup or cutmix.

    torchvision draws from torch's global generator, so the same seed has to be set there first.
    """

    def __init__(self, recipe: Recipe, generator: torch.Generator) -> None:
        """Prepare the transforms."""
        self.recipe, self.generator = recipe, generator
        self.policy = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
        mixes = [v2.MixUp(alpha=recipe.mixup, num_classes=10), v2.CutMix(num_classes=10)]
        self.mix = v2.RandomChoice(mixes)

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """From (B, 3, 32, 32) uint8 and (B,) to floats in [0, 1] and the shares of the classes (B, 10)."""
        moved = shifted(images, self.recipe.shift, self.generator)
        pixels = torch.cat([self.policy(part) for part in torch.split(moved, self.recipe.group)]).float() / 255
        mixed: tuple[Tensor, Tensor] = self.mix(pixels, labels)
        return mixed


def new_model() -> nn.Module:
    """The untrained network, the same every time."""
    return build(ARCHITECTURE, Settings(num_classes=10, model_args=MODEL_ARGS), weights="random").module


def normalise(images: Tensor) -> Tensor:
    """Images in [0, 1] as the network takes them."""
    return (images - images.new_tensor(MEAN).view(-1, 1, 1)) / images.new_tensor(STD).view(-1, 1, 1)


def fit(images: Tensor, labels: Tensor, recipe: Recipe, device: torch.device) -> nn.Module:
    """A trained network: the running average of the weights, in evaluation mode.

    Args:
        images: (N, 3, 32, 32) uint8.
        labels: (N,) int64.
        recipe: how.
        device: where everything lies and is computed; bfloat16 on CUDA.
    """
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    images, labels, model = images.to(device), labels.to(device), new_model().train().to(device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))  # type: ignore[no-untyped-call]
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, weight_decay=recipe.weight_decay)
    steps = len(images) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.peak_rate, total_steps=recipe.epochs * steps, pct_start=0.05
    )
    augmentation = Augmentation(recipe, generator)
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator)[: steps * recipe.batch_size].to(device)
        for chosen in torch.split(order, recipe.batch_size):
            pixels, shares = augmentation(images[chosen], labels[chosen])
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = F.cross_entropy(model(normalise(pixels)), shares, label_smoothing=recipe.smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(model)
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1} of {recipe.epochs}, loss {loss.item():.3f}", flush=True)
    trained: nn.Module = average.module
    return trained.eval()


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, *, sigma: float = 0.0) -> float:
    """Share of (N, 3, 32, 32) uint8 `images` classified right under clipped N(0, sigma^2) noise of a fixed seed."""
    generator = torch.Generator().manual_seed(1)
    device = next(model.parameters()).device
    right = 0
    with torch.inference_mode():
        for pixels, truth in zip(torch.split(images, 500), torch.split(labels, 500), strict=True):
            noise = sigma * torch.randn(pixels.shape, generator=generator)
            noisy = (pixels.float() / 255 + noise).clamp(0, 1).to(device)
            right += int((model(normalise(noisy)).argmax(1).cpu() == truth).sum())
    return right / len(labels)


def pack(model: nn.Module, recipe: Recipe) -> bytes:
    """A safetensors file in float16 whose header says how to build and feed the network; same weights, same bytes."""
    header = {
        "architecture": ARCHITECTURE,
        "model_args": json.dumps(MODEL_ARGS, sort_keys=True),
        "classes": json.dumps(CLASSES),
        "mean": json.dumps(MEAN),
        "std": json.dumps(STD),
        "trained_by": f"experiments/cifar_vit/train.py, recipe {RECIPE}",
        "recipe": json.dumps(asdict(recipe), sort_keys=True),
    }
    return packed({name: tensor.cpu().half() for name, tensor in model.state_dict().items()}, header)


def pictures(data: str, split: str, limit: int | None) -> tuple[Tensor, Tensor]:
    """The first images of a split, (N, 3, 32, 32) uint8, and their labels (N,)."""
    dataset = load(data, split=split)
    chosen = range(len(dataset) if limit is None else min(limit, len(dataset)))
    return dataset.images(chosen), dataset.labels(chosen)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, write, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10", help="cifar10, or hf:FOLDER of parquet files")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--device", default="auto", help="cuda is meant; a CPU takes days")
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--limit", type=int, help="use so few images, to try the script out")
    given = parser.parse_args(arguments)
    images, labels = pictures(given.data, "train", given.limit)
    recipe = Recipe(epochs=given.epochs, batch_size=min(len(images), Recipe().batch_size))
    start = time.perf_counter()
    model = fit(images, labels, recipe, pick_device(given.device))
    print(f"trained in {time.perf_counter() - start:.0f} s")
    content = pack(model, recipe)
    given.out.write_bytes(content)
    judged, truth = pictures(given.data, "test", given.limit)
    print(f"clean: {accuracy(model, judged, truth):.2%} of {len(judged)}")
    for sigma in NOISE_LEVELS:
        print(f"sigma {sigma}: {accuracy(model, judged, truth, sigma=sigma):.1%}")
    small = "" if len(content) <= _LARGEST else f", more than the {_LARGEST} that can be kept here"
    print(f"{given.out}: {len(content)} bytes{small}, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
