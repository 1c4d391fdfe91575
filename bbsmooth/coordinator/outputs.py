"""Search spaces that act on the image shown, so that they stand behind any denoiser."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from bbsmooth.coordinator.equaliser import EQUALISER, equalise
from bbsmooth.coordinator.network import Weights
from bbsmooth.coordinator.pattern import PATTERN, patterned


@runtime_checkable
class OutputSpace(Protocol):
    """The parameters that tuning may change, where the network itself stays as it is."""

    def size_for(self, image_shape: tuple[int, int, int]) -> int:
        """Number of parameters P for images (C, H, W).

        Raises:
            ValueError: it needs a network's weights after all.
        """
        ...

    def outputs(self, image_shape: tuple[int, int, int], weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """The weights that `parameters` (P,) stand for, beside those that an earlier tuning left."""
        ...


def finished(shown: Tensor, noisy: Tensor, weights: Weights) -> Tensor:
    """Images (B, C, H, W), unclipped, with the equaliser and the pattern that `weights` hold, if any.

    Args:
        shown: (B, C, H, W) denoised, unclipped.
        noisy: (B, C, H, W).
        weights: of a coordinator.
    """
    if EQUALISER in weights:
        shown = equalise(shown, noisy, weights[EQUALISER])
    return patterned(shown, weights[PATTERN]) if PATTERN in weights else shown
