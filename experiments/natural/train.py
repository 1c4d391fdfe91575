"""Train the denoiser that ships with the package, on natural images and for all levels of noise.

`python -m experiments.natural.train --size base --out natural-base.safetensors` needs CIFAR-10 and pictures of any size
in class folders (`--cifar`, `--pictures`). It can be stopped and goes on from `--checkpoint`. See README.md beside this
file.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bbsmooth.coordinator import ResidualUNet
from bbsmooth.coordinator.natural import LEVELS
from bbsmooth.data import load
from experiments.natural.network import MEAN, SPREAD, ConditionalUNet, pack, with_units
from experiments.tuning.resnet20 import shared

RECIPE = "natural 1"
HELD_OUT = 1_000
"""Of CIFAR-10's training images, the last."""

_CROP = 64
_SCALES = (1.0, 0.5, 0.25)
_EVERY = 5
_STEPS_A_CHECKPOINT = 500
_IMAGES_THAT_SET_UNITS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that shapes the weights besides the images.

    Attributes:
        size: of the network.
        epochs: passes over CIFAR-10's training images.
        batch_size: of them in a step; every fifth step takes a quarter as many crops of 64 x 64 pixels from pictures.
        peak_rate: highest learning rate of AdamW, after 500 steps up and before a cosine down.
        weight_decay: of convolutions.
        average: decay of the running average of the weights, which is what is kept.
        grey: every so manieth step shows three equal channels, so that grey images are natural too.
        seed: of initialisation, order and noise.
    """

    size: str = "base"
    epochs: int = 40
    batch_size: int = 128
    peak_rate: float = 2e-3
    weight_decay: float = 1e-3
    average: float = 0.999
    grey: int = 10
    seed: int = 0


def pictures(folder: Path) -> list[Tensor]:
    """Training pictures (3, H, W) uint8, at three sizes each: all but every fifth file, which is kept for judging."""
    files = sorted(folder.glob("*/*.jpg"))
    found = []
    for file in (file for number, file in enumerate(files) if number % _EVERY):
        picture = Image.open(file).convert("RGB")
        for scale in _SCALES:
            size = [max(_CROP, round(side * scale)) for side in picture.size]
            pixels = np.asarray(picture.resize((size[0], size[1]), Image.Resampling.LANCZOS))
            found.append(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
    return found


class Training:
    """A training that can go on from its last checkpoint."""

    def __init__(self, images: Tensor, crops_from: Sequence[Tensor], recipe: Recipe) -> None:
        """Prepare the first step.

        Args:
            images: (N, 3, 32, 32) uint8.
            crops_from: (3, H, W) uint8 of at least 64 pixels a side.
            recipe: how.
        """
        self.images, self.crops_from, self.recipe, self.step = images, crops_from, recipe, 0
        self.architecture = ResidualUNet.of_size(recipe.size, (3, 32, 32))
        self.model = ConditionalUNet(self.architecture, recipe.seed)
        self.average = copy.deepcopy(self.model)
        self.steps = recipe.epochs * len(images) * _EVERY // (_EVERY - 1) // recipe.batch_size
        groups = [
            {
                "params": [value for value in self.model.parameters() if value.ndim > 1],
                "weight_decay": recipe.weight_decay,
            },
            {"params": [value for value in self.model.parameters() if value.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.99), foreach=True)

    def run(self, checkpoint: Path | None) -> dict[str, Tensor]:
        """The tensors of the trained network."""
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)
        batches = self._batches()
        start, total = time.perf_counter(), 0.0
        while self.step < self.steps:
            total += self._train(next(batches))
            if self.step % _STEPS_A_CHECKPOINT == 0 or self.step == self.steps:
                if checkpoint is not None:
                    self._save(checkpoint)
                print(f"step {self.step} of {self.steps}, {time.perf_counter() - start:.0f} s", flush=True)
        return self.average.tensors()

    def _train(self, clean: Tensor) -> float:
        """The loss of one step on clean images in [0, 1]."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            falling = 0.5 * (1 + math.cos(math.pi * self.step / self.steps)) + 1e-3
            group["lr"] = recipe.peak_rate * min(1, (self.step + 1) / 500) * falling
        low, high = (math.log(level) for level in LEVELS)
        sigma = torch.empty(len(clean)).uniform_(low, high).exp()
        noise = torch.randn_like(clean)
        if self.step % recipe.grey == recipe.grey - 3:
            clean, noise = (part[:, [1]].expand_as(part) for part in (clean, noise))
        level = sigma[:, None, None, None]
        noisy = (clean + level * noise).contiguous(memory_format=torch.channels_last)
        spread = (level**2 + SPREAD**2).sqrt()
        with torch.autocast("cpu", torch.bfloat16):
            out = self.model((noisy - MEAN) / spread, sigma)
        kept = MEAN + (SPREAD / spread) ** 2 * (noisy - MEAN)
        loss = (out.float() - (clean - kept) / (level * SPREAD / spread)).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        decay = min(recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        self.step += 1
        return float(loss)

    def _batches(self) -> Iterator[Tensor]:
        """Clean batches from here on, mirrored at random: four of CIFAR-10, one of crops, and so on."""
        torch.manual_seed(self.recipe.seed + self.step)
        order = torch.randperm(len(self.images))
        while True:
            if self.step % _EVERY == _EVERY - 1:
                yield self._crops(self.recipe.batch_size // 4).float() / 255
                continue
            if len(order) < self.recipe.batch_size:
                order = torch.randperm(len(self.images))
            chosen, order = order[: self.recipe.batch_size], order[self.recipe.batch_size :]
            batch = self.images[chosen]
            mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
            yield torch.where(mirrored, batch.flip(-1), batch).float() / 255

    def _crops(self, count: int) -> Tensor:
        """Random squares of 64 x 64 pixels (count, 3, 64, 64), mirrored at random."""
        found = []
        for _ in range(count):
            picture = self.crops_from[int(torch.randint(len(self.crops_from), ()))]
            top, left = (int(torch.randint(side - _CROP + 1, ())) for side in picture.shape[1:])
            crop = picture[:, top : top + _CROP, left : left + _CROP]
            found.append(crop.flip(-1) if torch.rand(()) < 0.5 else crop)
        return torch.stack(found)

    def _save(self, path: Path) -> None:
        """Write all that the next step depends on but the draws, which begin anew with the step's number."""
        parts = {name: getattr(self, name).state_dict() for name in ("model", "average", "optimiser")}
        partial = path.with_name(path.name + ".partial")
        torch.save(parts | {"step": self.step, "recipe": asdict(self.recipe)}, partial)
        partial.replace(path)

    def _load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: it is of another recipe.
        """
        state = torch.load(path, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise ValueError(f"{path} is the checkpoint of another recipe; remove it, or give the same options")
        self.step = state["step"]
        for name in ("model", "average", "optimiser"):
            getattr(self, name).load_state_dict(state[name])


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base", help="of the network: small, base or large")
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--cifar", default=f"hf:{shared() / 'data' / 'cifar10'}", help="name of CIFAR-10's images")
    parser.add_argument(
        "--pictures", type=Path, default=shared() / "data" / "imagenet-sample", help="folder of folders"
    )
    parser.add_argument("--limit", type=int, help="use so few images, to try the script out")
    parser.add_argument("--checkpoint", type=Path, help="a file to go on from, and to write now and then")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # sums are split by thread: so the weights do not depend on the number of cores
    cifar = load(given.cifar, split="train")
    images = cifar.images(range(min(len(cifar) - HELD_OUT, given.limit or len(cifar))))
    training = Training(images, pictures(given.pictures), Recipe(size=given.size, epochs=given.epochs))
    tensors = training.run(given.checkpoint)
    few = images[:_IMAGES_THAT_SET_UNITS].float() / 255
    with torch.inference_mode():
        content = pack(
            training.architecture,
            with_units(training.architecture, tensors, few),
            f"experiments/natural/train.py, recipe {RECIPE}, size {given.size}, {given.epochs} epochs",
        )
    given.out.write_bytes(content)
    print(f"{given.out}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
