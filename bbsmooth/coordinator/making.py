"""The denoiser that a tuning starts from, made of the user's images: which network, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Autoencoder
from bbsmooth.coordinator.fine_tuning import FineTuningPlan, fine_tune
from bbsmooth.coordinator.forms import CleanedImage, Form
from bbsmooth.coordinator.natural import SHIPPED, natural, refuse_unfit, takes
from bbsmooth.coordinator.network import FoldedUNet
from bbsmooth.coordinator.pretraining import PROCESSOR, PretrainPlan, pretrain
from bbsmooth.coordinator.spaces import Space
from bbsmooth.noise import NoiseDistribution
from oracles.pixels import require_images

FOLDED = "folded"
FRONT_SIZES = (FOLDED, *SHIPPED)
"""The small network, trained from nothing; and the natural denoiser in its sizes, fine-tuned."""

_NATURAL_SIDE = 32
"""Pixels from which images are taken for pictures rather than digits, which the small network denoises as well."""


def front_size_for(image_shape: tuple[int, int, int], sigma: float, form: Form, asked: str | None = None) -> str:
    """The size that is asked for, or else fits: "base" for pictures of 32 pixels a side or more.

    Args:
        image_shape: (C, H, W).
        sigma: of the noise, white = 1.
        form: how the network's output becomes an image.
        asked: one of `FRONT_SIZES`, None for what fits.

    Raises:
        ValueError: it is not there, or fits not; or images of less than 8 x 8 pixels.
    """
    picture = min(image_shape[1:]) >= _NATURAL_SIDE and takes(image_shape, sigma) and form == CleanedImage()
    size = asked or ("base" if picture else FOLDED)
    if size == FOLDED:
        FoldedUNet.for_images(image_shape)
        return size
    if form != CleanedImage():
        raise ValueError(f"a prompt is added by the {FOLDED} network, the natural denoiser gives whole images")
    refuse_unfit(image_shape, sigma, size)
    return size


def made_of(
    images: Tensor,
    *,
    noise: NoiseDistribution,
    form: Form,
    space: Space,
    epochs: int,
    seed: int,
    size: str | None = None,
    device: torch.device = PROCESSOR,
    progress: Callable[[int, float], None] = lambda epoch, error: None,
) -> Autoencoder:
    """A coordinator whose images are close, in mean squared error, to the clean ones. No label, no query.

    Args:
        images: (N, C, H, W) uint8, clean.
        noise: what will be added to them.
        form: how the network's output becomes an image.
        space: what will be tuned later.
        epochs: times that every image is seen; for the natural denoiser at most, since it ends once it learns no more.
        seed: of weights, order and noise.
        size: one of `FRONT_SIZES`, None for what fits.
        device: on which to train.
        progress: called after every epoch with its number, from 1, and its mean squared error.

    Raises:
        ShapeError: no image, or images that are not uint8 (N, C, H, W).
        ValueError: a size that is not there or does not fit, or images of less than 8 x 8 pixels.
    """
    require_images(images)
    channels, height, width = images.shape[1:]
    size = front_size_for((channels, height, width), noise.sigma, form, size)
    if size == FOLDED:
        return pretrain(
            images,
            noise=noise,
            form=form,
            space=space,
            plan=PretrainPlan(epochs=epochs),
            seed=seed,
            device=device,
            progress=progress,
        )
    start = natural((channels, height, width), noise.sigma, size=size, space=space)
    plan = FineTuningPlan(epochs=epochs)
    return fine_tune(start, images, noise=noise, plan=plan, seed=seed, device=device, progress=progress)
