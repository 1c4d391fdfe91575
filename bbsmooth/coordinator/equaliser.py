"""A search space of twenty numbers: how loud each band of frequencies is in the image that the oracle is shown.

A denoiser gives the mean of what could have been there, so its images are too smooth, and a classifier that never saw
such images relies on what they lack. Which bands it misses, and how much of the noise it would rather have back, is the
same for all images: few numbers, which few queries can find.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from bbsmooth.coordinator.dct import cosines
from bbsmooth.coordinator.network import Architecture, Weights
from bbsmooth.coordinator.spaces import Space

EQUALISER = "output.equaliser"
UNITS = "output.units"

_EDGES = (0, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1)
"""Of the bands, as shares of the highest frequency."""

NUM_BANDS = len(_EDGES) - 1
SETTINGS = 2 * NUM_BANDS + 2
_GREY = 0.5
_PIXELS_PER_UNIT = 0.05
_SMALLEST_CHANGE = 1e-3


def equalise(shown: Tensor, noisy: Tensor, settings: Tensor) -> Tensor:
    """Images with their bands made louder: (1 + contrast) * (sum over bands b of (1 + g_b) x_b + h_b r_b) + brightness.

    x_b is what the denoised image has in a band, in the cosine transform around middle grey, and r_b what was taken off
    as noise. All settings zero leave the image as it is.

    Args:
        shown: (B, C, H, W) denoised, unclipped.
        noisy: (B, C, H, W).
        settings: (20,): g for each band from the lowest, h likewise, contrast, brightness (white = 1).
    """
    height, width = shown.shape[-2:]
    rows, columns, bands = _transform(height, width, shown.device)
    gains, residuals = settings[:NUM_BANDS], settings[NUM_BANDS : 2 * NUM_BANDS]
    contrast, brightness = settings[2 * NUM_BANDS :]
    louder = torch.tensordot(gains, bands, 1) * _spectrum(shown - _GREY, rows, columns)
    back = torch.tensordot(residuals, bands, 1) * _spectrum(noisy - shown, rows, columns)
    changed = shown - _GREY + rows.T @ (louder + back) @ columns
    equalised: Tensor = _GREY + (1 + contrast) * changed + brightness
    return equalised


def units_of(shown: Tensor, noisy: Tensor) -> Tensor:
    """(20,) how far each setting goes for a change of 0.05 in the pixels' root mean square, white = 1.

    Fine bands hold little and take much before one sees it; brightness is the opposite. In these units, probes and
    steps of one length mean a like change.

    Args:
        shown: (B, C, H, W) denoised, unclipped.
        noisy: (B, C, H, W).
    """
    changes = [equalise(shown, noisy, setting) - shown for setting in torch.eye(SETTINGS, device=shown.device)]
    sizes = torch.stack([change.square().mean().sqrt() for change in changes])
    return _PIXELS_PER_UNIT / sizes.clamp(min=_SMALLEST_CHANGE)


def _spectrum(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return rows @ images @ columns.T


@cache
def _transform(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of the cosine transform, and masks (bands, H, W): the band of a pattern is that of its finer side."""
    with torch.inference_mode(False):  # what is kept must be of use where gradients are wanted
        rows, columns, bands = _make_transform(height, width)  # on the processor, so that all devices have the same
        return rows.to(device), columns.to(device), bands.to(device)


def _make_transform(height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    fineness = torch.maximum(torch.arange(height)[:, None] / height, torch.arange(width)[None, :] / width)
    edges = torch.tensor(_EDGES)[:, None, None]
    bands = ((fineness >= edges[:-1]) & (fineness < edges[1:])).float()
    return cosines(height, height), cosines(width, width), bands


@dataclass(frozen=True, slots=True)
class EqualiserSpace:
    """The equaliser's settings in units of a like change to the pixels, and after them the parameters of another space.

    Args:
        inner: what else is tuned, None for nothing.
    """

    inner: Space | None = None

    def size(self, architecture: Architecture) -> int:
        """20, and those of the other space."""
        return SETTINGS + (self.inner.size(architecture) if self.inner else 0)

    def weights(self, architecture: Architecture, weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """Tuned weights; the parameters add to the equaliser that `weights` may hold already.

        Raises:
            ValueError: the coordinator was pre-trained before there was an equaliser, so that nobody knows its units.
        """
        rest = parameters[SETTINGS:]
        tuned = self.inner.weights(architecture, weights, rest) if self.inner else dict(weights)
        return tuned | _settings(weights, parameters[:SETTINGS])

    def size_for(self, image_shape: tuple[int, int, int]) -> int:
        """20, whatever the images (C, H, W).

        Raises:
            ValueError: another space is tuned too, which needs a network of its own.
        """
        if self.inner is not None:
            raise ValueError("it tunes a network's weights too, and those of a given denoiser stay as they are")
        return SETTINGS

    def outputs(self, image_shape: tuple[int, int, int], weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """Weights with the settings of the parameters (20,) added to those that they may hold already."""
        return dict(weights) | _settings(weights, parameters)


def _settings(weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
    """The equaliser's settings: those of `weights` plus the parameters (20,) in their units.

    Raises:
        ValueError: nobody knows the units.
    """
    if UNITS not in weights:
        raise ValueError("this coordinator was pre-trained without the units of an equaliser; pre-train it anew")
    settings = parameters * weights[UNITS]
    return {EQUALISER: weights[EQUALISER] + settings if EQUALISER in weights else settings}
