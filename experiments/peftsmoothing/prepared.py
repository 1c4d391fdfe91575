"""Data sets that studies read from one file: digits that decide settings, and as much of CIFAR-10 as a study shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bbsmooth import data
from experiments.tuning.resnet20 import shared

FOLDER = Path("runs/peftsmoothing")
HELD_OUT = 800
"""Of the training digits of `mnist5k`; the order is round robin over classes, so 80 a class."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A data set whose splits are parts of another one's.

    Attributes:
        source: name of the other.
        training: images of its training split that are for training, from the first.
        judged: images that judge: of its test split from the first, or of its training split after those for training.
        held_out: whether they are of the training split.
    """

    source: Callable[[], str]
    training: int
    judged: int
    held_out: bool


def _cifar10() -> str:
    return f"hf:{shared() / 'data' / 'cifar10'}"


PREPARED: Mapping[str, Prepared] = {
    "validation.npz": Prepared(lambda: "mnist5k", 4_000 - HELD_OUT, HELD_OUT, held_out=True),
    "cifar10.npz": Prepared(_cifar10, 10_000, 2_000, held_out=False),
    "cifar10-all.npz": Prepared(_cifar10, 50_000, 2_000, held_out=False),
    "cifar10-validation.npz": Prepared(_cifar10, 5_000, 1_000, held_out=True),
}
"""By the name of the file in `FOLDER`: settings are chosen on held-out training images, never on test images."""


def prepare(name: str) -> None:
    """Write the data set that the name `npz:PATH?...` of a study stands for, unless it is another or there already."""
    path = Path(name.removeprefix("npz:").partition("?")[0])
    if path.parent == FOLDER and path.name in PREPARED and not path.exists():
        write(PREPARED[path.name], path)


def write(one: Prepared, path: Path) -> None:
    """Write a data set as arrays `x_train`, `y_train`, `x_test`, `y_test` and the names of the classes."""
    training = data.load(one.source(), split=data.Split.TRAIN)
    judging = training if one.held_out else data.load(one.source(), split=data.Split.TEST)
    first = one.training if one.held_out else 0
    x_train, y_train = _arrays(training, range(one.training))
    x_test, y_test = _arrays(judging, range(first, first + one.judged))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    classes = np.array(training.classes)
    np.savez(partial, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, classes=classes)
    partial.replace(path)


def _arrays(dataset: data.ImageSet, chosen: Sequence[int]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels (N, H, W) grey or (N, H, W, C), and labels (N,)."""
    pixels = dataset.images(chosen).permute(0, 2, 3, 1).numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels, dataset.labels(chosen).numpy()
