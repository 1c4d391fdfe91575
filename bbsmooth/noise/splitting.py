"""Splitting noise: exact L1 certificates without any chance, from a fixed number of views of an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bbsmooth.noise.distribution import Norm, check_sigma
from bbsmooth.randomness import name_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Splitting:
    """The derandomised splitting noise of Levine & Feizi (ICML 2021) on images whose pixels are integers.

    View s of T shows every value as the middle of the cell that it lies in. The cells of value i are cut at
    (s + v_i) mod T + 1/2 + k T for whole k, and end at black and at white; the offsets v_i are fixed. So between two
    neighbouring integers there is a cut in exactly one of the T views, and a perturbation that changes values by D
    steps in all changes at most D views, whatever classifier looks at them: see `radius`.

    The cuts of one value, over all views, are those of uniform noise of reach T / 2 steps, whose standard deviation
    `sigma` is. The middle of a cell is a function of the cell, and so is anything that is made of it: rounding to 8
    bits, a coordinator.

    Args:
        sigma: of the uniform noise, white being 1; T is 2 sqrt(3) sigma white, rounded.
        white: the integer that stands for white.

    Raises:
        ValueError: `sigma` is not a positive number, or so small that there is no view.
    """

    sigma: float
    white: int = 255
    norm: ClassVar[Norm] = Norm.L1
    name: ClassVar[str] = "splitting"

    def __post_init__(self) -> None:
        """Refuse a sigma that gives no view."""
        check_sigma(self.sigma)
        if self.views < 1:
            raise ValueError(f"`sigma` must be at least {0.5 / (2 * math.sqrt(3) * self.white):.2g}, got {self.sigma}")

    @property
    def views(self) -> int:
        """Number of views (T)."""
        return round(2 * math.sqrt(3) * self.sigma * self.white)

    def offsets(self, seed: int, values: int) -> NDArray[np.int64]:
        """The offsets (values,): arbitrary, but part of the smoothed classifier, and so the same for every image."""
        key = np.frombuffer(name_digest(seed, self.name, self.views)[:16], dtype="<u8").astype(np.uint64)
        numbers: NDArray[np.int64] = (np.random.Philox(key=key).random_raw(values) % self.views).astype(np.int64)
        return numbers

    def view(self, image: Tensor, offsets: NDArray[np.int64], *, first: int, count: int, eight_bit: bool) -> Tensor:
        """Views `first` to `first + count - 1` of an image.

        Args:
            image: (C, H, W) uint8, no value above white.
            offsets: (values,).
            first: number of the first view.
            count: how many.
            eight_bit: whether to round to uint8.

        Returns:
            (count, C, H, W): uint8, or float32 with white at 1.
        """
        import torch

        pixels, period = image.numpy().reshape(1, -1).astype(np.int64), self.views
        cuts = (np.arange(first, first + count)[:, None] + offsets) % period  # plus one half
        below = cuts + (pixels - cuts - 1) // period * period + 0.5
        middles = (below.clip(min=0) + (below + period).clip(max=self.white)) / 2
        out = np.rint(middles).astype(np.uint8) if eight_bit else (middles / self.white).astype(np.float32)
        return torch.from_numpy(out).view(count, *image.shape)

    def radius(self, votes: int, runner_up: int) -> float:
        """The L1 radius below which the class with `votes` of all views keeps the lead over the next one.

        (votes - runner_up) / (2 white): D changed views lower a lead by at most 2 D. Reach times the difference of the
        two shares, as Levine & Feizi have it, in exact arithmetic on whole numbers: no probability, no alpha.
        """
        return max(0, votes - runner_up) / (2 * self.white)
