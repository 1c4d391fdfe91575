"""The local network in front of an oracle, as a function of the parameters that are tuned."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from bbsmooth.coordinator.equaliser import EQUALISER, SETTINGS, UNITS
from bbsmooth.coordinator.forms import Form, Scaling
from bbsmooth.coordinator.network import TRIGGER, Architecture
from bbsmooth.coordinator.outputs import finished
from bbsmooth.coordinator.pattern import PATTERN
from bbsmooth.coordinator.spaces import Space


class Coordinator(Protocol):
    """Noisy image in, image for the oracle out; a pure function of images and parameters."""

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(C, H, W) of the images, None for any."""
        ...

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise that it is made for, white = 1."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hexadecimal sha256 of everything but the parameters."""
        ...

    def on(self, device: torch.device) -> Coordinator:
        """The same, computing on a device; its results come back to where the images are."""
        ...

    def initial_parameters(self) -> Tensor:
        """(P,) float32: where tuning starts."""
        ...

    def propose(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Output of the part that is tuned; differentiable in the parameters.

        Args:
            images: (B, C, H, W) float32, noisy, white at 1, not clipped.
            parameters: (P,) float32.

        Returns:
            (B, c, h, w) float32: an image that is not clipped yet, or the latent of one.
        """
        ...

    def render(self, proposed: Tensor) -> Tensor:
        """The image (B, C, H, W) float32 in [0, 1] that the oracle is shown for what was proposed (B, c, h, w)."""
        ...


def show(coordinator: Coordinator, images: Tensor, parameters: Tensor) -> Tensor:
    """Images (B, C, H, W) float32 in [0, 1] that the oracle is shown for noisy images (B, C, H, W)."""
    return coordinator.render(coordinator.propose(images, parameters))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Autoencoder:
    """A U-Net with a frozen encoder, whose decoder is tuned in a `space` around its pre-trained weights.

    Args:
        architecture: of the network.
        scaling: noise level and the data's mean and spread.
        form: how its output becomes an image.
        space: what the parameters are.
        weights: of the network, "<layer>.unit" (outputs,) for each decoder layer, the units of an equaliser, and where
            an earlier tuning left them a trigger, an equaliser and a pattern; not to be changed afterwards.

    Raises:
        ValueError: `weights` are not those of `architecture`.
    """

    architecture: Architecture
    scaling: Scaling
    form: Form
    space: Space
    weights: Mapping[str, Tensor]
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        """Check the weights, and digest everything."""
        wanted, optional = expected_shapes(self.architecture), optional_shapes(self.architecture)
        found = {name: tuple(tensor.shape) for name, tensor in self.weights.items() if name != PATTERN}
        if wanted | {name: shape for name, shape in optional.items() if name in found} != found:
            raise ValueError("the weights of a coordinator do not fit its architecture")
        digest = hashlib.sha256(repr((self.architecture, self.scaling, self.form, self.space)).encode())
        for name in sorted(self.weights):
            digest.update(name.encode() + self.weights[name].detach().cpu().contiguous().numpy().tobytes())
        object.__setattr__(self, "fingerprint", digest.hexdigest())

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        return self.architecture.image_shape

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise that it is made for, white = 1."""
        return self.scaling.sigma

    @property
    def device(self) -> torch.device:
        """Where it computes: where its weights are."""
        return next(iter(self.weights.values())).device

    def on(self, device: torch.device) -> Autoencoder:
        """The same with its weights on a device."""
        moved = copy(self)
        object.__setattr__(moved, "weights", {name: weight.to(device) for name, weight in self.weights.items()})
        return moved

    def initial_parameters(self) -> Tensor:
        """(P,) zeros: the pre-trained weights themselves."""
        return torch.zeros(self.space.size(self.architecture))

    def propose(self, images: Tensor, parameters: Tensor) -> Tensor:
        """The image (B, C, H, W) before it is clipped, differentiable in both arguments."""
        weights = self.space.weights(self.architecture, self.weights, parameters.to(self.device))
        noisy = images.to(self.device)
        proposed = self.form.apply(lambda inputs: self.architecture.forward(weights, inputs), noisy, self.scaling)
        return finished(proposed, noisy, weights).to(images.device)

    def render(self, proposed: Tensor) -> Tensor:
        """The image, clipped to [0, 1]."""
        return proposed.clamp(0, 1)


def expected_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that an `Autoencoder` needs."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in architecture.layers.items():
        shapes[f"{name}.weight"] = (layer.outputs, layer.inputs, layer.size, layer.size)
        shapes[f"{name}.bias"] = (layer.outputs,)
        if name in architecture.decoder_layers:
            shapes[f"{name}.unit"] = (layer.outputs,)
    return shapes


def optional_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that an `Autoencoder` may have besides."""
    return {TRIGGER: architecture.coarsest, EQUALISER: (SETTINGS,), UNITS: (SETTINGS,)}
