"""What must not stand before an oracle is refused, in one line, before anything is asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bbsmooth.coordinator.denoisers.checking import check_denoiser
from bbsmooth.coordinator.denoisers.opening import hand_over
from bbsmooth.errors import UsageError

SHAPE, SIGMA = (3, 16, 16), 0.25


def check(function: Callable[..., Any], shape: tuple[int, int, int] = SHAPE) -> None:
    check_denoiser(hand_over(function, name="f", fingerprint="00"), shape, SIGMA)


def shrink(images: Tensor, sigma: float) -> Tensor:
    return 0.5 + (images - 0.5) / (1 + sigma)


def blind(images: Tensor) -> Tensor:
    return images * 0.9


def array(images: Tensor, sigma: float) -> Any:
    return np.asarray(images, np.float64) * (1 - sigma)


@pytest.mark.parametrize("function", [shrink, blind, array, nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)])
@pytest.mark.parametrize("shape", [SHAPE, (3, 200, 200)])
def test_what_treats_each_image_by_itself_may_stand_there(function: Any, shape: tuple[int, int, int]) -> None:
    check(function, shape)


def whitened(images: Tensor, sigma: float) -> Tensor:
    return images - images.mean() + 0.5


def by_the_count(images: Tensor, sigma: float) -> Tensor:
    return images * (1 - 0.02 * (len(images) < 3))


def large_batches_alone(images: Tensor, sigma: float) -> Tensor:
    return images * (1 - 0.1 * (len(images) > 8))


def at_random(images: Tensor, sigma: float) -> Tensor:
    return images + 0.01 * torch.randn(images.shape)


def scaled(images: Tensor, sigma: float) -> Tensor:
    return images * 255


def undefined(images: Tensor, sigma: float) -> Tensor:
    return images.sqrt()


def last_of_them(images: Tensor, sigma: float) -> Tensor:
    return torch.cat([images[:-1], images[-1:] * 0.9]) if len(images) > 1 else images


class Training(nn.Module):
    """Batch normalisation that was not set to evaluation, whatever one says."""

    def forward(self, images: Tensor, sigma: float) -> Tensor:
        return nn.functional.batch_norm(images, None, None, training=True) * 0.2 + 0.5


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (whitened, "depend on the others in its batch"),
        (Training(), "depend on the others in its batch"),
        (by_the_count, "depend on how many are in its batch"),
        (large_batches_alone, "depend on how many are in its batch"),
        (at_random, "gives other images for the same ones"),
        (scaled, "returned values from .*; images have black at 0"),
        (undefined, "not finite, at sigma 0.25"),
        (lambda images, sigma: images[:, :1], r"should return floats of shape \(64, 3, 16, 16\)"),
        (lambda images, sigma: images.long(), "should return floats"),
        (lambda images, sigma: None, "should return floats .* got NoneType"),
        (lambda images, sigma: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda images, sigma: sys.exit(0), "raised SystemExit: 0"),
    ],
)
def test_what_would_void_certificates_is_refused(function: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check(function)
    assert "\n" not in str(caught.value)


def test_a_function_of_other_arguments_is_refused() -> None:
    with pytest.raises(UsageError, match="called with images and sigma, or with images"):
        hand_over(lambda a, b, c: a, name="f", fingerprint="00")


def test_a_handed_over_denoiser_is_not_scaled_by_rounding_to_other_batch_sizes() -> None:
    """A convolution's kernels differ by batch size in their last bits; that is no dependence."""
    check(nn.Sequential(nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(), nn.Conv2d(32, 3, 5, padding=2)))
