"""Fine-tuning of a denoiser on the user's own images, for as long as it learns. No label, no query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Autoencoder
from bbsmooth.coordinator.network import Weights
from bbsmooth.coordinator.pretraining import PROCESSOR, batches, measured_units, noising
from bbsmooth.noise import NoiseDistribution
from bbsmooth.randomness import fork
from oracles.pixels import require_images

_BETAS = (0.9, 0.99)
_HELD_OUT_SHARE = 0.1
_MOST_HELD_OUT = 500
_PASS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuningPlan:
    """A constant learning rate until images that are held out profit no more; then it falls to zero.

    (The schedule "warm up, stay, decay" of Hu et al., MiniCPM, 2024, whose length need not be guessed.)

    Args:
        epochs: at most.
        batch_size: images a step.
        learning_rate: of AdamW.
        least_gain: share of the held-out error by which an epoch has to lower its best value.
        patience: epochs without such a gain before the rate falls.
        falling_share: of the epochs so far, those in which it then falls, at least one.

    Raises:
        ValueError: a number that is not positive.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 5e-4
    least_gain: float = 2e-3
    patience: int = 2
    falling_share: float = 0.3

    def __post_init__(self) -> None:
        """Refuse plans that would not train."""
        if min(self.epochs, self.batch_size, self.patience) < 1 or min(self.learning_rate, self.falling_share) <= 0:
            raise ValueError(f"epochs, batch size, patience and learning rate must be positive, got {self}")


def fine_tune(
    start: Autoencoder,
    images: Tensor,
    *,
    noise: NoiseDistribution,
    plan: FineTuningPlan,
    seed: int,
    device: torch.device = PROCESSOR,
    progress: Callable[[int, float], None] = lambda epoch, error: None,
) -> Autoencoder:
    """A coordinator that is closer to these images, in mean squared error, or `start` where it came no closer.

    A tenth of the images, 500 at most, is held out and judges; where there are fewer than ten, all of them judge.

    Args:
        start: a denoiser for images of this shape.
        images: (N, C, H, W) uint8, clean.
        noise: what will be added to them.
        plan: how long and how fast.
        seed: of the choice of images, their order and the noise.
        device: where it is trained, in bfloat16 on CUDA; the weights come back to the processor.
        progress: called after every epoch with its number, from 1, and the held-out mean squared error, white = 1.

    Raises:
        ShapeError: no image, or images that are not uint8 (N, C, H, W).
        ValueError: images of another shape than those of `start`.
    """
    require_images(images)
    if tuple(images.shape[1:]) != start.image_shape:
        raise ValueError(f"the denoiser is for images {start.image_shape}, got {tuple(images.shape[1:])}")
    order = torch.randperm(len(images), generator=fork(seed, "fine-tuning", "held out"))
    held_out = min(_MOST_HELD_OUT, int(_HELD_OUT_SHARE * len(images)))
    learning = images[order[held_out:]].to(device)
    judging = (images[order[:held_out]] if held_out else images).to(device)
    trained = [name for name in start.weights if name.endswith((".weight", ".bias"))]
    weights = _copied({name: start.weights[name].to(device) for name in trained})
    length, step = _Length(plan), _Step(start, weights, plan)
    best, kept = _error(start, weights, judging, noise, seed), _copied(weights)
    for epoch in range(plan.epochs):
        parts = batches(learning, noise, plan.batch_size, seed, epoch)
        count = -(-len(learning) // plan.batch_size)
        for number, (clean, noisy) in enumerate(parts):
            step.learn(clean, noisy, length.rate(epoch + number / count))
        found = _error(start, weights, judging, noise, seed)
        progress(epoch + 1, found)
        if found < best:
            kept = _copied(weights)
        if length.ends_after(epoch + 1, gained=found < best * (1 - plan.least_gain)):
            break
        best = min(best, found)
    tuned = {**start.weights, **{name: tensor.cpu() for name, tensor in kept.items()}}
    units = measured_units(
        images,
        tuned,
        architecture=start.architecture,
        scaling=start.scaling,
        noise=noise,
        form=start.form,
        seed=seed,
    )
    return replace(start, weights=tuned | units)


class _Length:
    """When the learning rate falls, and when the training ends, both in epochs."""

    def __init__(self, plan: FineTuningPlan) -> None:
        """Falling begins in time to end with the last epoch allowed."""
        self._plan, self._stale = plan, 0
        self._falls_from, self._ends = plan.epochs / (1 + plan.falling_share), float(plan.epochs)

    def rate(self, done: float) -> float:
        """The learning rate after this many epochs."""
        left = (self._ends - done) / (self._ends - self._falls_from)
        return self._plan.learning_rate * min(1.0, left)

    def ends_after(self, epoch: int, *, gained: bool) -> bool:
        """Whether this epoch was the last one, told whether it lowered the error as far as it should."""
        self._stale = 0 if gained else self._stale + 1
        if self._stale >= self._plan.patience and epoch < self._falls_from:
            falling = max(1, round(self._plan.falling_share * epoch))
            self._falls_from, self._ends = epoch, min(self._ends, epoch + falling)
        return epoch >= self._ends


class _Step:
    """Learning from one batch."""

    def __init__(self, start: Autoencoder, weights: dict[str, Tensor], plan: FineTuningPlan) -> None:
        """Prepare the optimiser of `weights`, which it changes in place."""
        self._start, self._weights = start, weights
        for tensor in weights.values():
            tensor.requires_grad_(True)
        self._optimiser = torch.optim.AdamW(weights.values(), lr=plan.learning_rate, betas=_BETAS, foreach=True)

    def learn(self, clean: Tensor, noisy: Tensor, rate: float) -> None:
        """One step at a learning rate."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        with torch.enable_grad():
            loss = F.mse_loss(_cleaned(self._start, self._weights, noisy), clean)
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()


def _copied(weights: Weights) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


def _cleaned(start: Autoencoder, weights: Weights, noisy: Tensor) -> Tensor:
    """The images that a network with these weights makes of noisy ones."""

    def network(inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=inputs.device.type == "cuda"):
            return start.architecture.forward(weights, inputs).float()

    return start.form.apply(network, noisy, start.scaling)


def _error(start: Autoencoder, weights: Weights, pixels: Tensor, noise: NoiseDistribution, seed: int) -> float:
    """The mean squared error on images under noise that is the same every time."""
    add_noise, total = noising(noise, seed, "judging", 0, pixels.device), 0.0
    with torch.inference_mode():
        for part in torch.split(pixels, _PASS):
            clean = part.float() / 255
            total += float(F.mse_loss(_cleaned(start, weights, add_noise(clean)), clean)) * len(part)
    return total / len(pixels)
