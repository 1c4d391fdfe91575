"""Train the embedded vision transformer (`local-vit`) on clean MNIST digits, in minutes on two cores.

`python -m experiments.local_vit.train --out FILE` writes the weights that ship in `oracles/weights`. The digits are the
training part of `mnist5k`; they are shifted, turned, sheared, stretched and bent, but never noised or blurred: the
classifier is meant to be as fragile under noise as an ordinary one. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bbsmooth.data import load
from experiments.packing import packed

RECIPE = "local-vit 1"
ARCHITECTURE = "vit_tiny_patch16_224"
MODEL_ARGS: dict[str, Any] = {
    "img_size": 28,
    "patch_size": 7,
    "in_chans": 1,
    "num_classes": 10,
    "embed_dim": 64,
    "depth": 4,
    "num_heads": 4,
}
MEAN, STD = 0.1307, 0.3081  # of MNIST's training digits, as everybody uses them
VALIDATION = 800  # training digits held out by --validate; the order is round robin, so 80 a class
NOISE_LEVELS = (0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that shapes the weights besides the digits; chosen with --validate, never on test digits.

    Attributes:
        epochs: passes over the digits.
        batch_size: digits a step.
        peak_rate: highest learning rate of the one-cycle schedule.
        weight_decay: of AdamW.
        smoothing: label smoothing.
        average: decay of the running average of the weights, which is what is kept.
        turn: degrees.
        stretch: relative, each axis by itself.
        shear: relative.
        shift: pixels.
        bend: standard deviation, in pixels, of the smooth displacement field (5 x 5 knots).
        seed: of initialisation, order and distortion.
    """

    epochs: int = 150
    batch_size: int = 128
    peak_rate: float = 2e-3
    weight_decay: float = 0.05
    smoothing: float = 0.1
    average: float = 0.99
    turn: float = 12.0
    stretch: float = 0.12
    shear: float = 0.15
    shift: float = 2.0
    bend: float = 2.0
    seed: int = 0


def distort(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Randomly shifted, turned, sheared, stretched and bent copies, by bilinear sampling; black comes in at the border.

    Args:
        images: (B, C, H, W) float in [0, 1].
        recipe: how far.
        generator: source of the distortions.

    Returns:
        (B, C, H, W) float in [0, 1].
    """
    count, _, height, width = images.shape
    draws = torch.rand(6, count, generator=generator) * 2 - 1
    angle = draws[0] * math.radians(recipe.turn)
    stretch_x, stretch_y = 1 + draws[1:3] * recipe.stretch
    shear = draws[3] * recipe.shear
    shift_x, shift_y = draws[4] * 2 * recipe.shift / width, draws[5] * 2 * recipe.shift / height
    rows = (
        torch.stack([angle.cos() * stretch_x, shear - angle.sin() * stretch_y, shift_x], 1),
        torch.stack([angle.sin() * stretch_x, angle.cos() * stretch_y, shift_y], 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    knots = torch.randn(count, 2, 5, 5, generator=generator) * (recipe.bend / width)
    field = F.interpolate(knots, (height, width), mode="bicubic", align_corners=True)
    return F.grid_sample(images, grid + field.permute(0, 2, 3, 1), align_corners=False)


def normalise(images: Tensor) -> Tensor:
    """Images in [0, 1] as the network takes them."""
    return (images - MEAN) / STD


def new_model(seed: int) -> nn.Module:
    """The untrained network; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = timm.create_model(ARCHITECTURE, **MODEL_ARGS)
    return model


def fit(images: Tensor, labels: Tensor, recipe: Recipe) -> nn.Module:
    """A trained network: the running average of the weights, in evaluation mode.

    Args:
        images: (N, 1, 28, 28) float in [0, 1].
        labels: (N,) int64.
        recipe: how.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    model = new_model(recipe.seed)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))  # type: ignore[no-untyped-call]
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, weight_decay=recipe.weight_decay)
    steps = len(images) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.peak_rate, total_steps=recipe.epochs * steps, pct_start=0.1
    )
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator)[: steps * recipe.batch_size]
        for chosen in torch.split(order, recipe.batch_size):
            scores = model(normalise(distort(images[chosen], recipe, generator)))
            loss = F.cross_entropy(scores, labels[chosen], label_smoothing=recipe.smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            average.update_parameters(model)
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1} of {recipe.epochs}, loss {loss.item():.3f}", flush=True)
    trained: nn.Module = average.module
    return trained.eval()


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, *, sigma: float = 0.0, clip: bool = True) -> float:
    """Share of (N, 1, 28, 28) `images` classified right under N(0, sigma^2) noise of a fixed seed, clipped or not."""
    noisy = images + sigma * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    noisy = noisy.clamp(0, 1) if clip else noisy
    with torch.inference_mode():
        answers = torch.cat([model(normalise(part)).argmax(1) for part in torch.split(noisy, 250)])
    return (answers == labels).double().mean().item()


def digits(split: str) -> tuple[Tensor, Tensor]:
    """All images of a split of mnist5k, (N, 1, 28, 28) float in [0, 1], and their labels (N,)."""
    data = load("mnist5k", split=split)
    everything = list(range(len(data)))
    return data.images(everything).float() / 255, data.labels(everything)


def pack(model: nn.Module, recipe: Recipe) -> bytes:
    """A safetensors file whose header says how to build and feed the network; same weights, same bytes."""
    header = {
        "architecture": ARCHITECTURE,
        "model_args": json.dumps(MODEL_ARGS, sort_keys=True),
        "classes": json.dumps([str(digit) for digit in range(10)]),
        "mean": json.dumps([MEAN]),
        "std": json.dumps([STD]),
        "trained_by": f"experiments/local_vit/train.py, recipe {RECIPE}",
        "recipe": json.dumps(asdict(recipe), sort_keys=True),
    }
    return packed(model.state_dict(), header)


def report(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Print the accuracy on clean digits and on noisy ones."""
    print(f"clean: {accuracy(model, images, labels):.2%} of {len(images)}")
    for sigma in NOISE_LEVELS:
        clipped, free = (accuracy(model, images, labels, sigma=sigma, clip=clip) for clip in (True, False))
        print(f"sigma {sigma}: {clipped:.1%} clipped to [0, 1], {free:.1%} unclipped")


def main() -> None:
    """Train, write, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the safetensors file to write")
    parser.add_argument("--validate", action="store_true", help="hold out training digits and report on them only")
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    arguments = parser.parse_args()
    if arguments.out is None and not arguments.validate:
        parser.error("give --out FILE, or --validate")
    torch.set_num_threads(1)  # sums are split by thread: so the weights do not depend on the number of cores
    recipe = Recipe(epochs=arguments.epochs)
    images, labels = digits("train")
    judged = (images[-VALIDATION:], labels[-VALIDATION:]) if arguments.validate else digits("test")
    fitting = slice(None, -VALIDATION if arguments.validate else None)
    start = time.perf_counter()
    model = fit(images[fitting], labels[fitting], recipe)
    print(f"trained in {time.perf_counter() - start:.0f} s")
    report(model, *judged)
    if arguments.out is not None:
        content = pack(model, recipe)
        arguments.out.write_bytes(content)
        print(f"{arguments.out}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
