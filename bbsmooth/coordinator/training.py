"""What trainings of a made denoiser share: images that judge, weights that learn, steps, and what comes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Autoencoder
from bbsmooth.coordinator.network import Weights
from bbsmooth.coordinator.pretraining import measured_units
from bbsmooth.noise import NoiseDistribution
from bbsmooth.randomness import fork
from oracles.pixels import require_images

_TRAINED = (".weight", ".bias")
_BETAS = (0.9, 0.99)
_WEIGHT_DECAY = 0.01
_HELD_OUT_SHARE = 0.1
_MOST_HELD_OUT = 500


def divided(start: Autoencoder, images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Images to learn from, and those held out to judge: a tenth, 500 at most; all of them where there are under ten.

    Args:
        start: a denoiser for images of this shape.
        images: (N, C, H, W) uint8, clean.
        seed: of the choice, the same for each training.

    Raises:
        ShapeError: no image, or images that are not uint8 (N, C, H, W).
        ValueError: images of another shape than those of `start`.
    """
    require_images(images)
    if tuple(images.shape[1:]) != start.image_shape:
        raise ValueError(f"the denoiser is for images {start.image_shape}, got {tuple(images.shape[1:])}")
    order = torch.randperm(len(images), generator=fork(seed, "fine-tuning", "held out"))
    held_out = min(_MOST_HELD_OUT, int(_HELD_OUT_SHARE * len(images)))
    return images[order[held_out:]], images[order[:held_out]] if held_out else images


def trained_weights(start: Autoencoder, device: torch.device) -> dict[str, Tensor]:
    """Copies, on a device, of all weights and biases of the network, in an order that a file does not change."""
    return copied({name: start.weights[name].to(device) for name in sorted(start.weights) if name.endswith(_TRAINED)})


def copied(weights: Weights) -> dict[str, Tensor]:
    """Copies that no step changes."""
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


def cleaned(start: Autoencoder, weights: Weights, noisy: Tensor) -> Tensor:
    """The images (B, C, H, W), unclipped, that a network with these weights makes of noisy ones; bfloat16 on CUDA."""

    def network(inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=inputs.device.type == "cuda"):
            return start.architecture.forward(weights, inputs).float()

    return start.form.apply(network, noisy, start.scaling)


class Optimiser:
    """AdamW (Loshchilov & Hutter, ICLR 2019) on weights that it changes in place."""

    def __init__(
        self, weights: dict[str, Tensor], *, weight_decay: float = _WEIGHT_DECAY, longest: float | None = None
    ) -> None:
        """Prepare it.

        Args:
            weights: leaves from now on.
            weight_decay: a step, times the learning rate.
            longest: a gradient's norm from which it is scaled down, None for any.
        """
        for tensor in weights.values():
            tensor.requires_grad_(True)
        self._weights, self._longest = list(weights.values()), longest
        self._optimiser = torch.optim.AdamW(self._weights, betas=_BETAS, weight_decay=weight_decay, foreach=True)

    def step(self, rate: float, losses: Iterable[Tensor]) -> Tensor:
        """The sum of losses, down which it went a step at a learning rate.

        Args:
            rate: of this step.
            losses: each is let go before the next one is made.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad()
        found = []
        with torch.enable_grad():
            for loss in losses:
                loss.backward()  # type: ignore[no-untyped-call]
                found.append(loss.detach())
        if self._longest is not None:
            torch.nn.utils.clip_grad_norm_(self._weights, self._longest)
        self._optimiser.step()
        return torch.stack(found).sum()


def with_weights(
    start: Autoencoder, weights: Weights, images: Tensor, *, noise: NoiseDistribution, seed: int
) -> Autoencoder:
    """The same coordinator with other weights of its network, on the processor, and units measured anew.

    Args:
        start: the coordinator.
        weights: those that were trained.
        images: (N, C, H, W) uint8, clean, of which a few tell the units.
        noise: under which.
        seed: of the noise and of these few.
    """
    tuned = {**start.weights, **{name: tensor.detach().cpu() for name, tensor in weights.items()}}
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
