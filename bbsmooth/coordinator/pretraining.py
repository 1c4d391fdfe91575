"""Self-supervised pre-training: the network learns to take noise off the user's own images. No label, no query."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Autoencoder
from bbsmooth.coordinator.equaliser import UNITS, units_of
from bbsmooth.coordinator.forms import Form, Scaling
from bbsmooth.coordinator.network import Architecture, FoldedUNet, Weights
from bbsmooth.coordinator.spaces import Space
from bbsmooth.noise import NoiseDistribution, on_device
from bbsmooth.noise.training import noise_like
from bbsmooth.randomness import Stream, fork, name_digest
from oracles.pixels import require_images

PROCESSOR = torch.device("cpu")
_STAGE = "pretrain"
_FLAT_SPREAD = 0.05
_IMAGES_THAT_SET_UNITS = 256
_BETAS = (0.9, 0.99)
_WEIGHT_DECAY = 1e-4
_RISING_SHARE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainPlan:
    """Epochs, batch size and learning rate.

    Args:
        epochs: times that every image is seen, each time under fresh noise.
        batch_size: images a step.
        learning_rate: peak of the one-cycle schedule (Smith & Topin, 2019) of AdamW.

    Raises:
        ValueError: a number that is not positive.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 8e-3

    def __post_init__(self) -> None:
        """Refuse plans that would not train."""
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise ValueError(f"epochs, batch size and learning rate must be positive, got {self}")


def pretrain(
    images: Tensor,
    *,
    noise: NoiseDistribution,
    form: Form,
    space: Space,
    plan: PretrainPlan,
    seed: int,
    architecture: Architecture | None = None,
    device: torch.device = PROCESSOR,
    progress: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Autoencoder:
    """A coordinator whose images are close, in mean squared error, to the clean ones.

    The same images, plan, seed, device, number of threads and kind of processor give the same weights.

    Args:
        images: (N, C, H, W) uint8, clean.
        noise: what will be added to them.
        form: how the network's output becomes an image.
        space: what will be tuned later.
        plan: epochs, batch size and learning rate.
        seed: of weights, order and noise.
        architecture: of the network; by default what fits the images.
        device: where it is trained; the weights come back to the processor.
        progress: called after every epoch with its number, from 1, and its mean squared error.

    Raises:
        ShapeError: no image, or images that are not uint8 (N, C, H, W).
        ValueError: images of less than 8 x 8 pixels.
    """
    require_images(images)
    channels, height, width = images.shape[1:]
    architecture = architecture or FoldedUNet.for_images((channels, height, width))
    values = images.float() / 255
    spread = max(float(values.std(correction=0)), _FLAT_SPREAD)
    scaling = Scaling(sigma=noise.sigma, mean=float(values.mean()), spread=spread)
    drawn = architecture.initial_weights(fork(seed, "pretrain", "weights"))
    weights = {name: weight.to(device) for name, weight in drawn.items()}
    pixels = images.to(device)
    _fit(
        pixels,
        weights,
        architecture=architecture,
        scaling=scaling,
        noise=noise,
        form=form,
        plan=plan,
        seed=seed,
        progress=progress,
    )
    weights |= measured_units(
        pixels, weights, architecture=architecture, scaling=scaling, noise=noise, form=form, seed=seed
    )
    kept = {name: weight.cpu() for name, weight in weights.items()}
    return Autoencoder(architecture=architecture, scaling=scaling, form=form, space=space, weights=kept)


def _fit(
    pixels: Tensor,
    weights: dict[str, Tensor],
    *,
    architecture: Architecture,
    scaling: Scaling,
    noise: NoiseDistribution,
    form: Form,
    plan: PretrainPlan,
    seed: int,
    progress: Callable[[int, float], None],
) -> None:
    """Train `weights` in place."""
    for tensor in weights.values():
        tensor.requires_grad_(True)
    steps = plan.epochs * -(-len(pixels) // plan.batch_size)
    optimiser = torch.optim.AdamW(
        weights.values(), lr=plan.learning_rate, betas=_BETAS, weight_decay=_WEIGHT_DECAY, foreach=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, plan.learning_rate, total_steps=steps, pct_start=_RISING_SHARE
    )
    with torch.enable_grad():
        for epoch in range(plan.epochs):
            losses, sizes = [], []
            for clean, noisy in batches(pixels, noise, plan.batch_size, seed, epoch):
                shown = form.apply(lambda inputs: architecture.forward(weights, inputs), noisy, scaling)
                loss = F.mse_loss(shown, clean)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                losses.append(loss.detach())  # to read it is to wait for a device
                sizes.append(len(clean))
            total = sum(each * size for each, size in zip(torch.stack(losses).tolist(), sizes, strict=True))
            progress(epoch + 1, total / len(pixels))
    for tensor in weights.values():
        tensor.requires_grad_(False)


def batches(
    pixels: Tensor, noise: NoiseDistribution, batch_size: int, seed: int, epoch: int, *, stage: str = _STAGE
) -> Iterator[tuple[Tensor, Tensor]]:
    """Clean and noisy images of one epoch of a training, in an order and with noise of its own."""
    order = torch.randperm(len(pixels), generator=fork(seed, stage, "order", epoch)).to(pixels.device)
    add_noise = noising(noise, seed, "noise", epoch, pixels.device, stage=stage)
    for chosen in torch.split(order, batch_size):
        clean = pixels[chosen].float() / 255
        yield clean, add_noise(clean)


def noising(
    noise: NoiseDistribution, seed: int, purpose: str, place: int, device: torch.device, *, stage: str = _STAGE
) -> Callable[[Tensor], Tensor]:
    """Function that adds fresh noise to images (B, C, H, W) on a device."""
    if device.type not in on_device.BY_NUMPY:
        source = fork(seed, stage, purpose, place, device=str(device))
        return lambda clean: clean + noise_like(clean, noise, source)
    (generator,) = Stream(name_digest(seed, stage, purpose)).generators(place, 1)

    def add(clean: Tensor) -> Tensor:
        draws = np.empty((len(clean), clean[0].numel()))
        noise.sample(generator, draws)
        return clean + torch.from_numpy(draws.astype(np.float32)).view(clean.shape)

    return add


def measured_units(
    pixels: Tensor,
    weights: Weights,
    *,
    architecture: Architecture,
    scaling: Scaling,
    noise: NoiseDistribution,
    form: Form,
    seed: int,
) -> dict[str, Tensor]:
    """The standard deviation of each decoder channel, on a few noisy images, the unit of its shift; and `units_of`."""
    order = torch.randperm(len(pixels), generator=fork(seed, "pretrain", "units"))
    few = pixels[order[:_IMAGES_THAT_SET_UNITS].to(pixels.device)].float() / 255
    taps: dict[str, Tensor] = {}
    with torch.inference_mode():
        noisy = noising(noise, seed, "units", 0, pixels.device)(few)
        shown = form.apply(lambda inputs: architecture.forward(weights, inputs, taps=taps), noisy, scaling)
        channels = {f"{name}.unit": out.std((0, 2, 3), correction=0) for name, out in taps.items()}
        found = channels | {UNITS: units_of(shown, noisy)}
    return {name: tensor.clone() for name, tensor in found.items()}
