"""Whether a denoiser can stand before an oracle: looked at before the first query, on images of the right shape."""

from __future__ import annotations

import torch
from torch import Tensor

from bbsmooth.coordinator.denoisers.given import GivenDenoiser
from bbsmooth.errors import UsageError
from bbsmooth.randomness import fork

_FEW, _MANY = 4, 64
_MANY_PIXELS = 2**20
"""Most numbers in a batch of `_MANY`, so that large images are looked at in small batches alone."""

_LOWEST, _HIGHEST = -8.0, 9.0
"""Of what an untrained network may show too; one that counts from 0 to 255 is far beyond."""

_ROUNDING = 1e-2
"""How far kernels for other batch sizes may be apart, white = 1: two steps of an 8-bit pixel."""


def check_denoiser(denoiser: GivenDenoiser, image_shape: tuple[int, int, int], sigma: float) -> None:
    """Refuse a denoiser behind which certificates would mean nothing, or that means other pixels than we do.

    A certificate counts independent draws of one function of one image. So what comes out for an image must not depend
    on what else is in the batch, nor on how much of it (rounding aside), nor on chance.

    Args:
        denoiser: that is looked at.
        image_shape: (C, H, W) of the images that it will be shown.
        sigma: that it will be told.

    Raises:
        UsageError: it cannot be used, with the reason.
    """
    size = _MANY if _MANY * image_shape[0] * image_shape[1] * image_shape[2] <= _MANY_PIXELS else _FEW
    first, others = _noisy(size, image_shape, sigma, 0), _noisy(size, image_shape, sigma, 1)
    with torch.inference_mode():
        shown = denoiser(first, sigma).clone()
        _check_range(denoiser, first, shown, sigma)
        if not torch.equal(denoiser(first, sigma), shown):
            raise UsageError(
                f"the denoiser {denoiser.name} gives other images for the same ones: it draws at random, or changes as "
                "it is used; make it a function of its images"
            )
        mixed = torch.cat([first[:1], others[1:]])
        if not torch.equal(denoiser(mixed, sigma)[:1], shown[:1]):
            raise UsageError(
                f"the denoiser {denoiser.name} lets one image depend on the others in its batch, so draws would not be "
                "independent; let it treat each by itself (batch normalisation set to evaluation)"
            )
        for fewer in {1, _FEW} - {size}:
            apart = float((denoiser(first[:fewer], sigma) - shown[:fewer]).abs().max())
            if not apart <= _ROUNDING:
                raise UsageError(
                    f"the denoiser {denoiser.name} lets an image depend on how many are in its batch: by {apart:.2g} "
                    f"between {fewer} and {size}; let it treat each by itself"
                )


def _check_range(denoiser: GivenDenoiser, noisy: Tensor, shown: Tensor, sigma: float) -> None:
    if not bool(shown.isfinite().all()):
        raise UsageError(f"the denoiser {denoiser.name} returned numbers that are not finite, at sigma {sigma:g}")
    slack = float(max(_LOWEST - noisy.min(), noisy.max() - _HIGHEST, torch.zeros(())))
    low, high = float(shown.min()), float(shown.max())
    if low < _LOWEST - slack or high > _HIGHEST + slack:
        raise UsageError(
            f"the denoiser {denoiser.name} returned values from {low:.3g} to {high:.3g}; images have black at 0 and "
            "white at 1, in and out, so let it scale them itself"
        )


def _noisy(count: int, image_shape: tuple[int, int, int], sigma: float, number: int) -> Tensor:
    """Smooth images under noise: ramps of random direction, in [0, 1]."""
    channels, height, width = image_shape
    generator = fork(0, "denoiser", number)
    slopes = torch.rand(count, channels, 2, 1, 1, generator=generator) - 0.5
    rows, columns = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)[None, :]
    ramps = 0.5 + slopes[:, :, 0] * rows + slopes[:, :, 1] * columns
    return ramps.clamp(0, 1) + sigma * torch.randn(count, *image_shape, generator=generator)
