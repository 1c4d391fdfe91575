"""The share of images that will be certified, as a loss: per image, smoothed, balanced over classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.tuning.losses.losses import own_probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedShare:
    """1 - w_y Phi((p - p_R) / width) of each image, p being the true class's mean probability over its draws.

    p_R = Phi(R / sigma). MACER (Zhai et al., ICLR 2020) makes the radius of a soft classifier large where it is below a
    margin; here, from votes or scores alone, what counts is on which side of p_R an image is. As `width` goes to 0 and
    the draws to infinity the mean is the share that is not certified. An image far from p_R on either side has no
    slope, so none is left to sacrifice. Weights make classes count alike, whatever the number of their images.

    Args:
        needed: p_R.
        draws: of each image; they stand side by side in a batch.
        width: of the step at p_R, of about the spread of a mean of these draws.
        weights: w (K,) of the classes, of mean 1 over the images; empty for 1.

    Raises:
        ValueError: a number out of its range.
    """

    needed: float
    draws: int = 5
    width: float = 0.15
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what has no step."""
        if not (0 < self.needed < 1 and self.draws >= 1 and self.width > 0):
            raise ValueError(f"a share needs p_R between 0 and 1, a draw and a width above 0, got {self}")

    def __call__(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """Losses (B,): those of its image for each draw. B is a multiple of `draws`."""
        own = own_probabilities(probabilities, truth).view(-1, self.draws).mean(1)
        merit: Tensor = torch.special.ndtr((own - self.needed) / self.width)
        if self.weights:
            merit = merit * torch.tensor(self.weights, dtype=merit.dtype)[truth.view(-1, self.draws)[:, 0]]
        return (1 - merit).repeat_interleave(self.draws)


def balanced(labels: Tensor) -> tuple[float, ...]:
    """Weights (K,) with which classes count alike, of mean 1 over the images with these labels (N,)."""
    counts = torch.bincount(labels)
    present = int((counts > 0).sum())
    return tuple((len(labels) / (present * counts.clamp(min=1).double())).tolist())
