"""Fine-tuning of a denoiser on the user's own images, for as long as it learns. No label, no query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Autoencoder
from bbsmooth.coordinator.network import Weights
from bbsmooth.coordinator.pretraining import PROCESSOR, batches, noising
from bbsmooth.coordinator.training import Optimiser, cleaned, copied, divided, trained_weights, with_weights
from bbsmooth.noise import NoiseDistribution

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
    learning, judging = (part.to(device) for part in divided(start, images, seed))
    weights = trained_weights(start, device)
    length, optimiser = _Length(plan), Optimiser(weights)
    best, kept = _error(start, weights, judging, noise, seed), copied(weights)
    for epoch in range(plan.epochs):
        parts = batches(learning, noise, plan.batch_size, seed, epoch)
        count = -(-len(learning) // plan.batch_size)
        for number, (clean, noisy) in enumerate(parts):
            with torch.enable_grad():
                loss = F.mse_loss(cleaned(start, weights, noisy), clean)
            optimiser.step(length.rate(epoch + number / count), [loss])
        found = _error(start, weights, judging, noise, seed)
        progress(epoch + 1, found)
        if found < best:
            kept = copied(weights)
        if length.ends_after(epoch + 1, gained=found < best * (1 - plan.least_gain)):
            break
        best = min(best, found)
    return with_weights(start, kept, images, noise=noise, seed=seed)


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


def _error(start: Autoencoder, weights: Weights, pixels: Tensor, noise: NoiseDistribution, seed: int) -> float:
    """The mean squared error on images under noise that is the same every time."""
    add_noise, total = noising(noise, seed, "judging", 0, pixels.device), 0.0
    with torch.inference_mode():
        for part in torch.split(pixels, _PASS):
            clean = part.float() / 255
            total += float(F.mse_loss(cleaned(start, weights, add_noise(clean)), clean)) * len(part)
    return total / len(pixels)
