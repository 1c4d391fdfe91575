"""A denoiser, then an autoencoder whose second half belongs to the black box: few numbers to probe.

Zhang et al. (ZO-AE-DS), ICLR 2022, section 4: the denoiser and the encoder are local, the decoder is frozen and merged
with the oracle. A latent has far fewer dimensions than an image, so differences there have far less variance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Autoencoder, show
from bbsmooth.randomness import fork


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """An autoencoder: the image folded by 4, through one hidden layer to a latent of a 4th of the side, and back.

    Args:
        image_shape: (C, H, W); sides are multiples of 4.
        channels: of the latent; it has channels * H * W / 16 numbers.
        hidden: channels between.

    Raises:
        ValueError: sides that are no multiples of 4, or a number below 1.
    """

    image_shape: tuple[int, int, int]
    channels: int
    hidden: int = 64

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if any(side % 4 for side in self.image_shape[1:]) or min(*self.image_shape, self.channels, self.hidden) < 1:
            raise ValueError(f"a bottleneck needs sides that are multiples of 4 and positive sizes, got {self}")

    @property
    def latent_size(self) -> int:
        """Numbers of a latent."""
        return self.channels * self.image_shape[1] * self.image_shape[2] // 16

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all weights."""
        folded, hidden = 16 * self.image_shape[0], self.hidden
        sides = {"in": (hidden, folded), "squeeze": (self.channels, hidden)}
        sides |= {"spread": (hidden, self.channels), "mix": (hidden, hidden), "out": (folded, hidden)}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, (outputs, inputs) in sides.items():
            shapes |= {f"{name}.weight": (outputs, inputs, 3, 3), f"{name}.bias": (outputs,)}
        return shapes

    def encode(self, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
        """(B, C, H, W) -> latents (B, channels, H / 4, W / 4)."""
        features = F.relu(_convolve(weights, "in", F.pixel_unshuffle(images - 0.5, 4)))
        return _convolve(weights, "squeeze", features)

    def decode(self, weights: Mapping[str, Tensor], latents: Tensor) -> Tensor:
        """(B, channels, H / 4, W / 4) -> images (B, C, H, W), unclipped."""
        features = F.relu(_convolve(weights, "spread", latents))
        features = features + F.relu(_convolve(weights, "mix", features))
        return F.pixel_shuffle(_convolve(weights, "out", features), 4) + 0.5


def _convolve(weights: Mapping[str, Tensor], name: str, features: Tensor) -> Tensor:
    return F.conv2d(features, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LatentCoordinator:
    """Noisy image -> denoiser -> encoder (local) | decoder (with the oracle).

    Args:
        denoiser: whose parameters are tuned.
        bottleneck: shape of the autoencoder.
        weights: of the autoencoder; frozen.
    """

    denoiser: Autoencoder
    bottleneck: Bottleneck
    weights: Mapping[str, Tensor]
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        """Digest everything."""
        digest = hashlib.sha256(repr((self.denoiser.fingerprint, self.bottleneck)).encode())
        for name in sorted(self.weights):
            digest.update(name.encode() + self.weights[name].cpu().contiguous().numpy().tobytes())
        object.__setattr__(self, "fingerprint", digest.hexdigest())

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        return self.denoiser.image_shape

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise that it is made for, white = 1."""
        return self.denoiser.sigma

    def on(self, device: torch.device) -> LatentCoordinator:
        """The same on a device, for latents that are there."""
        weights = {name: weight.to(device) for name, weight in self.weights.items()}
        return replace(self, denoiser=self.denoiser.on(device), weights=weights)

    def initial_parameters(self) -> Tensor:
        """(P,): those of the denoiser."""
        return self.denoiser.initial_parameters()

    def propose(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Latents of the denoised images."""
        return self.bottleneck.encode(self.weights, show(self.denoiser, images, parameters))

    def render(self, proposed: Tensor) -> Tensor:
        """The images that latents stand for, clipped to [0, 1]."""
        return self.bottleneck.decode(self.weights, proposed).clamp(0, 1)


def train_bottleneck(
    bottleneck: Bottleneck, images: Callable[[torch.Generator], Tensor], *, steps: int, learning_rate: float, seed: int
) -> dict[str, Tensor]:
    """Weights of an autoencoder that gives images back, by mean squared error; no query.

    Args:
        bottleneck: its shape.
        images: called for each batch (B, C, H, W) float32 in [0, 1].
        steps: how many.
        learning_rate: of Adam.
        seed: of weights and batches.
    """
    generator = fork(seed, "bottleneck")
    weights = {
        name: torch.randn(shape, generator=generator) * (2 / (shape[1] * 9)) ** 0.5
        if len(shape) == 4
        else torch.zeros(shape)
        for name, shape in bottleneck.shapes.items()
    }
    for tensor in weights.values():
        tensor.requires_grad_(True)
    optimiser = torch.optim.Adam(weights.values(), lr=learning_rate, foreach=True)
    with torch.enable_grad():
        for _ in range(steps):
            clean = images(generator)
            loss = F.mse_loss(bottleneck.decode(weights, bottleneck.encode(weights, clean)), clean)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return {name: tensor.requires_grad_(False) for name, tensor in weights.items()}
