"""A given denoiser as a coordinator: it stays as it is, and what it shows may be tuned behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from bbsmooth.coordinator.denoisers.given import GivenDenoiser
from bbsmooth.coordinator.equaliser import UNITS, units_of
from bbsmooth.coordinator.outputs import OutputSpace, finished
from bbsmooth.noise import NoiseDistribution
from bbsmooth.randomness import Stream, fork, name_digest

_IMAGES_THAT_SET_UNITS = 64


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Denoised:
    """What a given denoiser makes of noisy images, and behind it the numbers of a `space`.

    Args:
        denoiser: takes the noise off; not changed.
        sigma: that it is told.
        space: what the parameters are, None for none.
        weights: the units of an equaliser, and what an earlier tuning left.
        image_shape: (C, H, W), None for any.

    Raises:
        ValueError: a space without the images' shape, or one that needs a network's weights.
    """

    denoiser: GivenDenoiser
    sigma: float
    space: OutputSpace | None = None
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    image_shape: tuple[int, int, int] | None = None
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        """Check that the space fits, and digest everything."""
        self.initial_parameters()
        found = fingerprint_of(self.denoiser.fingerprint, self.sigma, self.space, self.weights)
        object.__setattr__(self, "fingerprint", found)

    def on(self, device: torch.device) -> Denoised:
        """The same: a given denoiser computes where it was opened."""
        return self

    def initial_parameters(self) -> Tensor:
        """(P,) zeros: what the denoiser shows."""
        if self.space is None:
            return torch.zeros(0)
        if self.image_shape is None:
            raise ValueError("a space behind a denoiser needs the shape of the images")
        return torch.zeros(self.space.size_for(self.image_shape))

    def propose(self, images: Tensor, parameters: Tensor) -> Tensor:
        """The image (B, C, H, W) before it is clipped, differentiable in the parameters."""
        tuned = {name: weight.to(images.device) for name, weight in self._tuned(parameters.cpu()).items()}
        return finished(self.denoiser(images, self.sigma), images, tuned)

    def render(self, proposed: Tensor) -> Tensor:
        """The image, clipped to [0, 1]."""
        return proposed.clamp(0, 1)

    def tuned_in(
        self, space: OutputSpace, parameters: Tensor, pixels: Tensor, noise: NoiseDistribution, seed: int
    ) -> Denoised:
        """The same with its parameters (P,) taken into its weights, to be tuned in a space around them.

        Args:
            space: that is tuned.
            parameters: found so far.
            pixels: (N, C, H, W) uint8, some of which set the units of an equaliser.
            noise: that is added to them.
            seed: of the choice and the noise.

        Raises:
            ValueError: the space does not fit.
        """
        channels, height, width = pixels.shape[1:]
        weights = self._tuned(parameters)
        if UNITS not in weights:
            weights[UNITS] = self._units(pixels, noise, seed)
        return replace(self, space=space, weights=weights, image_shape=(channels, height, width))

    def _units(self, pixels: Tensor, noise: NoiseDistribution, seed: int) -> Tensor:
        chosen = torch.randperm(len(pixels), generator=fork(seed, "denoised", "units"))[:_IMAGES_THAT_SET_UNITS]
        clean = pixels[chosen].float() / 255
        (generator,) = Stream(name_digest(seed, "denoised", "units")).generators(0, 1)
        draws = torch.empty(len(clean), clean[0].numel(), dtype=torch.float64)
        noise.sample(generator, draws.numpy())
        noisy = clean + draws.float().view(clean.shape)
        with torch.inference_mode():
            units = units_of(self.denoiser(noisy, self.sigma), noisy)
        return units.clone()

    def _tuned(self, parameters: Tensor) -> dict[str, Tensor]:
        if self.space is None or self.image_shape is None:
            return dict(self.weights)
        return self.space.outputs(self.image_shape, self.weights, parameters)


def fingerprint_of(denoiser: str, sigma: float, space: OutputSpace | None, weights: Mapping[str, Tensor]) -> str:
    """Hexadecimal sha256 of a given denoiser's fingerprint and all that stands behind it."""
    digest = hashlib.sha256(repr(("denoised-1", denoiser, sigma, space)).encode())
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
