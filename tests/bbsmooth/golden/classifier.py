"""A classifier for the digits whose every number is an integer: no machine and no thread count changes an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

_IMAGES, _LABELS = load_digits(return_X_y=True)
CENTRES: NDArray[Any] = np.stack(
    [np.rint(_IMAGES[digit == _LABELS].mean(0) * 255 / 16).astype(np.int64) for digit in range(10)]
)


def _merits(images: NDArray[Any], centres: NDArray[Any]) -> NDArray[Any]:
    """(N, K) integers, largest where the centre is nearest."""
    values = np.rint(images.reshape(len(images), -1).astype(np.float64) * 65280).astype(np.int64)
    return np.asarray(2 * values @ centres.T - 256 * (centres**2).sum(1))


def nearest(images: NDArray[Any]) -> NDArray[Any]:
    """Labels: the digit whose mean image is nearest."""
    return np.asarray(_merits(images, CENTRES).argmax(1))


def changed(images: NDArray[Any]) -> NDArray[Any]:
    """Labels of a classifier that was changed a little."""
    return np.asarray(_merits(images, CENTRES + (np.arange(64) % 7 == 0)).argmax(1))


def scores(images: NDArray[Any]) -> NDArray[Any]:
    """Scores in sixteenths."""
    order = _merits(images, CENTRES).argsort(1).argsort(1)
    return (np.array([0, 0, 0, 0, 0, 0, 0, 1, 3, 12]) / 16)[order].astype(np.float32)
