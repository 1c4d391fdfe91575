"""The numbered copies of an image that a smoothed classifier votes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bbsmooth.noise.distribution import NoiseDistribution
from bbsmooth.noise.grid import Grid, stream_name
from bbsmooth.noise.splitting import Splitting
from bbsmooth.randomness import Stream, image_digest, name_digest

if TYPE_CHECKING:
    from torch import Tensor


class Copies(Protocol):
    """From an image and a number to a copy, the same one in every run."""

    def stream(self, image: Tensor, purpose: str) -> bytes:
        """The name of an image's copies for one purpose: 32 bytes. Copies of different purposes are independent.

        Args:
            image: (C, H, W) uint8.
            purpose: what they are for.
        """
        ...

    def draw(self, image: Tensor, stream: bytes, *, first: int, count: int) -> Tensor:
        """Copies `first` to `first + count - 1` (count, C, H, W), uint8 or float32 with white at 1."""
        ...

    def total_variation(self, values: int) -> float:
        """A bound on the distance between the copies that are drawn and ideal ones, for `values` pixel values."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyCopies:
    """An image with noise added.

    Args:
        noise: what is added.
        grid: on which it is added.
        seed: of all draws.
    """

    noise: NoiseDistribution
    grid: Grid
    seed: int

    def stream(self, image: Tensor, purpose: str) -> bytes:
        """Name of the stream of an image's draws for one purpose, as `stream_name` gives it."""
        return stream_name(self.seed, purpose, image, self.noise, self.grid)

    def draw(self, image: Tensor, stream: bytes, *, first: int, count: int) -> Tensor:
        """Noisy copies `first` to `first + count - 1`, as `Grid.noisy` draws them."""
        return self.grid.noisy(image, self.noise, Stream(stream), first=first, count=count)

    def total_variation(self, values: int) -> float:
        """Bound on the distance between the copies that are drawn and ideal ones, by `Grid.total_variation`."""
        return self.grid.total_variation(self.noise, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitViews:
    """The views of an image under splitting noise; they are the same for every purpose.

    Args:
        noise: which views there are.
        seed: of the offsets.
        eight_bit: whether they are rounded to uint8.
    """

    noise: Splitting
    seed: int
    eight_bit: bool

    def stream(self, image: Tensor, purpose: str) -> bytes:
        """A name that says all that the views depend on."""
        kind = ("splitting-1", repr(self.noise.sigma), self.noise.white, int(self.eight_bit))
        return name_digest(self.seed, *kind, purpose, image_digest(image))

    def draw(self, image: Tensor, stream: bytes, *, first: int, count: int) -> Tensor:
        """Views `first` to `first + count - 1`, as `Splitting.view` makes them."""
        offsets = self.noise.offsets(self.seed, image.numel())
        return self.noise.view(image, offsets, first=first, count=count, eight_bit=self.eight_bit)

    def total_variation(self, values: int) -> float:
        """None: nothing is drawn."""
        return 0.0
