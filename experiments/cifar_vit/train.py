"""Train a small vision transformer on CIFAR-10, in an hour of one processor core or in minutes of a GPU.

`python -m experiments.cifar_vit.train --data hf:FOLDER --out cifar_vit.safetensors` writes weights that
`timm:vit_tiny_r_s16_p8_224?checkpoint=cifar_vit.safetensors` opens. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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

RECIPE = "cifar-vit 2"
ARCHITECTURE = "vit_tiny_r_s16_p8_224"
MODEL_ARGS: dict[str, Any] = {
    "img_size": 32,
    "patch_size": 1,
    "num_classes": 10,
    "embed_dim": 128,
    "depth": 5,
    "num_heads": 4,
    "mlp_ratio": 2.0,
    "class_token": False,
    "global_pool": "avg",
}
"""A convolution and a pooling make 64 tokens; a transformer without class token takes them from there (the idea of
Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", arXiv 2104.05704)."""

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10's training images, as everybody uses them
NOISE_LEVELS = (0.12, 0.25, 0.5)
_STEPS_A_CHECKPOINT = 100
_RISING = 0.1
_LARGEST = 8_000_000
"""Bytes of a file that can be kept beside the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that shapes the weights besides the images.

    Attributes:
        epochs: passes over the images.
        batch_size: images a step.
        matrix_rate: highest learning rate of Muon, which trains the blocks' matrices (Jordan et al., 2024).
        peak_rate: highest learning rate of AdamW, which trains the rest.
        weight_decay: of both.
        smoothing: label smoothing.
        average: decay of the running average of the weights, which is what is kept.
        shift: pixels.
        policy: AutoAugment's policy for CIFAR-10; what few epochs would not profit from.
        group: images that get the same policy of AutoAugment in one step.
        mixup: alpha of mixup; cutmix takes 1; each batch gets one of the two. 0 for neither.
        seed: of initialisation, order and augmentation.
    """

    epochs: int = 20
    batch_size: int = 128
    matrix_rate: float = 0.01
    peak_rate: float = 1.5e-3
    weight_decay: float = 0.05
    smoothing: float = 0.1
    average: float = 0.998
    shift: int = 4
    policy: bool = False
    group: int = 16
    mixup: float = 0.0
    seed: int = 0


LONG = Recipe(epochs=200, batch_size=256, average=0.999, policy=True, mixup=0.8)
"""For a GPU; `Recipe()` is for a processor."""


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
    """Shifts and mirrors, and where the recipe wants them AutoAugment's policy for CIFAR-10 and mixup or cutmix.

    torchvision draws from torch's global generator, so the same seed has to be set there first.
    """

    def __init__(self, recipe: Recipe, generator: torch.Generator) -> None:
        """Prepare the transforms."""
        self.recipe, self.generator = recipe, generator
        self.policy = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10) if recipe.policy else nn.Identity()
        mixes = [v2.MixUp(alpha=recipe.mixup, num_classes=10), v2.CutMix(num_classes=10)] if recipe.mixup else []
        self.mix = v2.RandomChoice(mixes) if mixes else _unmixed

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """From (B, 3, 32, 32) uint8 and (B,) to floats in [0, 1] and the shares of the classes (B, 10)."""
        moved = shifted(images, self.recipe.shift, self.generator)
        pixels = torch.cat([self.policy(part) for part in torch.split(moved, self.recipe.group)]).float() / 255
        mixed: tuple[Tensor, Tensor] = self.mix(pixels, labels)
        return mixed


def _unmixed(pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The images as they are, and all of each for its class."""
    return pixels, F.one_hot(labels, 10).float()


def new_model() -> nn.Module:
    """The untrained network, the same every time."""
    return build(ARCHITECTURE, Settings(num_classes=10, model_args=MODEL_ARGS), weights="random").module


def normalise(images: Tensor) -> Tensor:
    """Images in [0, 1] as the network takes them."""
    return (images - images.new_tensor(MEAN).view(-1, 1, 1)) / images.new_tensor(STD).view(-1, 1, 1)


class Training:
    """A training that can go on from its last checkpoint."""

    def __init__(self, images: Tensor, labels: Tensor, recipe: Recipe, device: torch.device) -> None:
        """Prepare the first step.

        Args:
            images: (N, 3, 32, 32) uint8.
            labels: (N,) int64.
            recipe: how.
            device: where everything lies and is computed, in bfloat16.
        """
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.step = recipe, device, 0
        self.images, self.labels = images.to(device), labels.to(device)
        self.model = new_model().train().to(device)
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))  # type: ignore[no-untyped-call]
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.augmentation = Augmentation(recipe, self.generator)
        self.steps_an_epoch = len(images) // recipe.batch_size
        self.steps = recipe.epochs * self.steps_an_epoch
        named = list(self.model.named_parameters())
        matrices = [value for name, value in named if name.startswith("blocks.") and value.ndim == 2]
        others = [value for name, value in named if not (name.startswith("blocks.") and value.ndim == 2)]
        self.optimisers: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(matrices, lr=recipe.matrix_rate, momentum=0.95, weight_decay=recipe.weight_decay),
            torch.optim.AdamW(others, lr=recipe.peak_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.95)),
        )
        self.rates = (recipe.matrix_rate, recipe.peak_rate)

    def run(self, checkpoint: Path | None) -> nn.Module:
        """The trained network: the running average of the weights, in evaluation mode."""
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)
        while self.step < self.steps:
            loss = self._train()
            if self.step % self.steps_an_epoch == 0 or self.step == self.steps:
                print(f"epoch {self.step // self.steps_an_epoch} of {self.recipe.epochs}, loss {loss:.3f}", flush=True)
            if checkpoint is not None and (self.step % _STEPS_A_CHECKPOINT == 0 or self.step == self.steps):
                self._save(checkpoint)
        trained: nn.Module = self.average.module
        return trained.eval()

    def _train(self) -> float:
        """The loss of one step."""
        within = self.step % self.steps_an_epoch * self.recipe.batch_size
        if within == 0:
            self.order = torch.randperm(len(self.images), generator=self.generator)
        chosen = self.order[within : within + self.recipe.batch_size].to(self.device)
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * self._share()
            optimiser.zero_grad()
        pixels, shares = self.augmentation(self.images[chosen], self.labels[chosen])
        with torch.autocast(self.device.type, torch.bfloat16):
            scores = self.model(normalise(pixels))
        loss = F.cross_entropy(scores.float(), shares, label_smoothing=self.recipe.smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return loss.item()

    def _share(self) -> float:
        """The learning rate as a share of its peak: up for a tenth of the steps, then down along a cosine."""
        done = self.step / self.steps
        return min(
            (self.step + 1) / (_RISING * self.steps),
            0.5 * (1 + math.cos(math.pi * max(0.0, done - _RISING) / (1 - _RISING))),
        )

    def _save(self, path: Path) -> None:
        """Write all that the next step depends on, in place of the checkpoint before."""
        state = {
            "step": self.step,
            "order": self.order,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "draws": (self.generator.get_state(), torch.get_rng_state()),
            "recipe": asdict(self.recipe),
        }
        partial = path.with_name(path.name + ".partial")
        torch.save(state, partial)
        partial.replace(path)

    def _load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: it is of another recipe.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise ValueError(f"{path} is the checkpoint of another recipe; remove it, or give the same options")
        self.step, self.order = state["step"], state["order"].cpu()
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimiser, found in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(found)
        ours, everybody = state["draws"]
        self.generator.set_state(ours.cpu())
        torch.set_rng_state(everybody.cpu())


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
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto; a GPU takes the long recipe")
    parser.add_argument("--epochs", type=int, help="other than the recipe's")
    parser.add_argument("--checkpoint", type=Path, help="a file to go on from, and to write now and then")
    parser.add_argument("--limit", type=int, help="use so few images, to try the script out")
    given = parser.parse_args(arguments)
    images, labels = pictures(given.data, "train", given.limit)
    device = pick_device(given.device)
    recipe = LONG if device.type == "cuda" else Recipe()
    recipe = replace(recipe, epochs=given.epochs or recipe.epochs, batch_size=min(len(images), recipe.batch_size))
    start = time.perf_counter()
    torch.set_num_threads(1)  # sums are split by thread: so the weights do not depend on the number of cores
    model = Training(images, labels, recipe, device).run(given.checkpoint)
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
