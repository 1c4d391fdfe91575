"""The training digits of `mnist5k`, parted once more: settings are chosen on the last fifth, never on test digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bbsmooth import data

VALIDATION = Path("runs/peftsmoothing/validation.npz")
HELD_OUT = 800  # the order is round robin over classes, so 80 a class


def write_validation(path: Path) -> None:
    """Write the digits as a data set whose test split is the held-out part."""
    digits = data.load("mnist5k", split=data.Split.TRAIN)
    everything = range(len(digits))
    pixels, labels = digits.images(everything).squeeze(1).numpy(), digits.labels(everything).numpy()
    kept = len(pixels) - HELD_OUT
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, x_train=pixels[:kept], y_train=labels[:kept], x_test=pixels[kept:], y_test=labels[kept:])
