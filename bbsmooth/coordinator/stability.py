"""Stability: a denoiser learns that a local classifier says of its images what it says of the clean ones.

The squared error asks for the mean of what could have been there, which is too smooth for most classifiers. Salman et
al. (Denoised Smoothing, NeurIPS 2020) train denoisers by what a classifier says instead, and where that one can only be
queried, by surrogates: other classifiers for such images, whose gradients one has. No label, no query; the surrogate's
classes need not be those of the oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Autoencoder
from bbsmooth.coordinator.forms import CleanedImage
from bbsmooth.coordinator.network import Weights
from bbsmooth.coordinator.outputs import finished
from bbsmooth.coordinator.pretraining import PROCESSOR, batches, noising
from bbsmooth.coordinator.training import Optimiser, cleaned, copied, divided, trained_weights, with_weights
from bbsmooth.noise import NoiseDistribution
from bbsmooth.randomness import fork

Surrogate = Callable[[Tensor], Tensor]
"""Images (B, C, H, W), white at 1, to logits (B, K); differentiable, each image by itself."""

_STAGE = "stability"
_DRAWS = 4
_SLACK = 0.1
_STANDARD_ERRORS = 2
_LONGEST_GRADIENT = 1.0
_PIXELS_AT_ONCE = 128 * 32 * 32
_SIDES_A_SHIFT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilityPlan:
    """How long and how fast.

    The values were chosen on CIFAR-10 at sigma 0.25, by a ResNet-20 that was neither the surrogate nor learnt from:
    without the squared error, a denoiser that had learnt to please the surrogate was worse for others after 200 steps.

    Args:
        steps: of AdamW.
        batch_size: images a step.
        learning_rate: at its peak; it rises over `warm_up` steps and falls to zero over the second half.
        warm_up: steps.
        squared_error: weight of the mean squared error, white = 1, beside the divergence in nats.
        shift: pixels, an eighth of a side at most, by which both images are shifted alike, so that no pattern that
            pleases the surrogate at one place is learnt.
        averaging: of the weights that are kept, a step.

    Raises:
        ValueError: a number that makes no sense.
    """

    steps: int = 800
    batch_size: int = 128
    learning_rate: float = 5e-4
    warm_up: int = 30
    squared_error: float = 600.0
    shift: int = 4
    averaging: float = 0.98

    def __post_init__(self) -> None:
        """Refuse plans that would not train."""
        if min(self.steps, self.batch_size, self.warm_up) < 1 or not self.learning_rate > 0:
            raise ValueError(f"steps, batch size, warm-up and learning rate must be positive, got {self}")
        if min(self.squared_error, self.shift) < 0 or not 0 <= self.averaging < 1:
            raise ValueError(f"squared error and shift must not be negative, averaging below 1, got {self}")

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        return self.learning_rate * min(1.0, (step + 1) / self.warm_up, 2 * (self.steps - step) / self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stabilised:
    """A coordinator, and what the surrogate says of it.

    Attributes:
        coordinator: the trained one, or the start where the share below did not rise by two standard errors (paired,
            over images).
        judged: noisy images, held out, that told.
        agreement_start: share of them on which the surrogate said of the start's image what it says of the clean one.
        agreement: the same of the coordinator.
    """

    coordinator: Autoencoder
    judged: int
    agreement_start: float
    agreement: float


def stabilise(
    start: Autoencoder,
    images: Tensor,
    surrogate: Surrogate,
    *,
    noise: NoiseDistribution,
    plan: StabilityPlan,
    seed: int,
    device: torch.device = PROCESSOR,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> Stabilised:
    """A coordinator of whose images a surrogate more often says what it says of the clean ones, or `start`.

    Small is KL(F(x) || F(D(x + e))) + w ||D(x + e) - x||^2, the mean over images and, in the second term, over pixels.
    F are the surrogate's probabilities, both images shifted alike, D is the coordinator with the equaliser and the
    pattern that it may hold, w is `plan.squared_error`. The images held out are those of `fine_tune`.

    Args:
        start: whose network gives whole images.
        images: (N, C, H, W) uint8, clean.
        surrogate: on `device`, in evaluation mode.
        noise: what will be added to them.
        plan: how long and how fast.
        seed: of the choice of images, their order, shifts and the noise.
        device: where it is trained, in bfloat16 on CUDA; the weights come back to the processor.
        progress: called after every step with its number, from 1, and its loss.

    Raises:
        ShapeError: no image, or images that are not uint8 (N, C, H, W).
        ValueError: images of another shape than those of `start`, or a `start` that adds a prompt.
    """
    if start.form != CleanedImage():
        raise ValueError("a surrogate teaches a denoiser, and this network adds a prompt to the noisy image")
    learning, judging = (part.to(device) for part in divided(start, images, seed))
    weights = trained_weights(start, device)
    task = _Task(start, {name: tensor.to(device) for name, tensor in start.weights.items()}, surrogate, plan)
    before = task.agreement(weights, judging, noise, seed)
    optimiser, averaged = Optimiser(weights, weight_decay=0, longest=_LONGEST_GRADIENT), copied(weights)
    shifts = fork(seed, _STAGE, "shift")
    for step, (clean, noisy) in enumerate(islice(_forever(learning, noise, plan.batch_size, seed), plan.steps)):
        loss = optimiser.step(plan.rate(step), task.losses(weights, clean, noisy, shifts))
        for name, tensor in averaged.items():
            tensor.lerp_(weights[name].detach(), 1 - plan.averaging)
        progress(step + 1, float(loss))
    after, judged = task.agreement(averaged, judging, noise, seed), _DRAWS * len(judging)
    share, gains = float(before.mean()), after - before
    if float(gains.mean()) <= _STANDARD_ERRORS * float(gains.std(correction=0)) / len(gains) ** 0.5:
        return Stabilised(coordinator=start, judged=judged, agreement_start=share, agreement=share)
    tuned = with_weights(start, averaged, images, noise=noise, seed=seed)
    return Stabilised(coordinator=tuned, judged=judged, agreement_start=share, agreement=float(after.mean()))


def _forever(pixels: Tensor, noise: NoiseDistribution, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Clean and noisy images, epoch after epoch."""
    for epoch in count():
        yield from batches(pixels, noise, batch_size, seed, epoch, stage=_STAGE)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is learnt, and from whom; `held` has what `start` holds beside its network, on the device."""

    start: Autoencoder
    held: Weights
    surrogate: Surrogate
    plan: StabilityPlan

    def losses(self, weights: Weights, clean: Tensor, noisy: Tensor, shifts: torch.Generator) -> Iterator[Tensor]:
        """Summands of a batch's mean loss, each of as many images as memory is meant for."""
        height, width = clean.shape[-2:]
        most = min(self.plan.shift, min(height, width) // _SIDES_A_SHIFT)
        down, right = torch.randint(2 * most + 1, (2,), generator=shifts).tolist()
        at_once = max(1, _PIXELS_AT_ONCE // (height * width))
        for target, image in zip(torch.split(clean, at_once), torch.split(noisy, at_once), strict=True):
            shown = self._shown(weights, image)
            with torch.no_grad():
                said = self._logits(shifted(target, most, down, right))
            loss = stability_loss(
                said,
                self._logits(shifted(shown.clamp(-_SLACK, 1 + _SLACK), most, down, right)),
                F.mse_loss(shown, target),
                self.plan.squared_error,
            )
            yield loss * (len(target) / len(clean))

    def agreement(self, weights: Weights, pixels: Tensor, noise: NoiseDistribution, seed: int) -> Tensor:
        """(N,) the share of draws, the same every time, under which the surrogate says of each image what it says."""
        height, width = pixels.shape[-2:]
        found = []
        with torch.inference_mode():
            for draw in range(_DRAWS):
                add_noise = noising(noise, seed, "judging", draw, pixels.device, stage=_STAGE)
                for part in torch.split(pixels, max(1, _PIXELS_AT_ONCE // (height * width))):
                    clean = part.float() / 255
                    shown = self._shown(weights, add_noise(clean)).clamp(0, 1)
                    found.append((self._logits(shown).argmax(1) == self._logits(clean).argmax(1)).cpu())
        return torch.cat(found).float().view(_DRAWS, len(pixels)).mean(0)

    def _shown(self, weights: Weights, noisy: Tensor) -> Tensor:
        """What the oracle would be shown, unclipped."""
        return finished(cleaned(self.start, weights, noisy), noisy, self.held)

    def _logits(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.device.type == "cuda"):
            return self.surrogate(images).float()


def stability_loss(said: Tensor, says: Tensor, squared_error: Tensor, weight: float) -> Tensor:
    """KL(softmax(said) || softmax(says)), the mean over images, plus a weight times the squared error.

    Args:
        said: (B, K) logits of the clean images.
        says: (B, K) logits of the denoised ones.
        squared_error: mean.
        weight: of it.
    """
    divergence = F.kl_div(F.log_softmax(says, 1), F.log_softmax(said, 1), reduction="batchmean", log_target=True)
    return divergence + weight * squared_error


def shifted(images: Tensor, most: int, down: int, right: int) -> Tensor:
    """Images (B, C, H, W) moved by `most` - `down` and `most` - `right` pixels; their reflection fills the borders.

    Args:
        images: with sides above `most`.
        most: pixels.
        down: 0 to twice `most`.
        right: likewise.
    """
    height, width = images.shape[-2:]
    padded = F.pad(images, (most,) * 4, mode="reflect")
    return padded[..., down : down + height, right : right + width]
