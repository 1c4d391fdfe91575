"""Processor time of noisy copies for each value of a pixel, by whichever checkout is imported; prints JSON.

Draw, add, clip or convert, as `Grid.noisy` does, in one thread: the least of several rounds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import torch

from bbsmooth.noise import DISTRIBUTIONS, Grid, NoiseDistribution
from bbsmooth.randomness import Stream, name_digest

SHAPES = {"1x28x28": ((1, 28, 28), 256), "3x32x32": ((3, 32, 32), 64), "3x224x224": ((3, 224, 224), 2)}
"""Shapes of images, and how many copies are drawn at once."""

SIGMAS = (0.25, 1.0)
_ROUNDS = 9
_STREAM = Stream(name_digest(1, "experiments", "noise"))


def grid_of(noise: NoiseDistribution, *, eight_bit: bool) -> Grid:
    """Return the grid that this checkout draws on; the one before the exact noise knew two."""
    return Grid.fitting(noise, eight_bit=eight_bit) if hasattr(Grid, "fitting") else Grid(0 if eight_bit else 8)


def nanoseconds(noise: NoiseDistribution, shape: tuple[int, int, int], count: int, *, eight_bit: bool) -> float:
    """Return the processor time of one value."""
    grid, image = grid_of(noise, eight_bit=eight_bit), torch.full(shape, 77, dtype=torch.uint8)
    return _least(lambda: grid.noisy(image, noise, _STREAM, first=0, count=count)) / (count * image.numel()) * 1e9


def _least(call: Callable[[], object]) -> float:
    call()
    taken = []
    for _ in range(_ROUNDS):
        before = time.thread_time()
        call()
        taken.append(time.thread_time() - before)
    return min(taken)


def main() -> None:
    """Measure everything."""
    torch.set_num_threads(1)
    found = {
        f"{name}, sigma {sigma:g}, {'8-bit' if eight_bit else 'float'}, {shape}": nanoseconds(
            kind(sigma), size, count, eight_bit=eight_bit
        )
        for name, kind in DISTRIBUTIONS.items()
        for sigma in SIGMAS
        for eight_bit in (True, False)
        for shape, (size, count) in SHAPES.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
