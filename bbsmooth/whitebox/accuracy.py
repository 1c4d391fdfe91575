"""Accuracy of a classifier, clean and under noise."""

from __future__ import annotations

import torch
from torch import Tensor

from bbsmooth.noise import NoiseDistribution
from bbsmooth.randomness import fork
from bbsmooth.whitebox.images import TrainingImages
from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives import Model

_BATCH = 500


def accuracy(
    model: Model, images: TrainingImages, *, noise: NoiseDistribution | None, seed: int, device: torch.device
) -> float:
    """Share of images classified right, each seen once; NaN without images.

    Args:
        model: the classifier.
        images: with labels.
        noise: what is added, None for nothing. The same seed gives every classifier the same noise.
        seed: of the noise.
        device: to compute on.
    """
    noising = Noising(noise, fork(seed, "whitebox", "judge", device=device.type)) if noise else None
    right = torch.zeros((), dtype=torch.int64)
    with torch.inference_mode():
        for pixels, labels in zip(torch.split(images.pixels, _BATCH), torch.split(images.labels, _BATCH), strict=True):
            right += (_shown(model, pixels.to(device).float() / 255, noising).argmax(1).cpu() == labels).sum()
    return right.item() / len(images.labels) if len(images.labels) else float("nan")


def _shown(model: Model, images: Tensor, noising: Noising | None) -> Tensor:
    return model(images if noising is None else images + noising.like(images))
