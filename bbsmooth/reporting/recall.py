"""Inputs of a run, found again: its images, and the grid of its noise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from bbsmooth import data
from bbsmooth.errors import UsageError
from bbsmooth.noise import ALGORITHMS, Grid, NoiseDistribution
from bbsmooth.runs.reading import Run
from bbsmooth.settings.common import IN_MEMORY

_at_hand: ContextVar[data.ImageSet | None] = ContextVar("images at hand", default=None)


@contextmanager
def at_hand(images: data.ImageSet | None) -> Iterator[None]:
    """Let runs find images that are held in memory while the block runs, by their fingerprint."""
    token = _at_hand.set(images)
    try:
        yield
    finally:
        _at_hand.reset(token)


def held_images(run: Run) -> data.ImageSet | None:
    """The images of a run where they are held in memory, see `at_hand`; None where others are, or none."""
    held = _at_hand.get()
    return held if held is not None and run.data is not None and held.fingerprint == run.data["fingerprint"] else None


def images_of(run: Run) -> data.ImageSet:
    """The images of a run, the very same; nothing is downloaded.

    Raises:
        DataError: they are not at hand.
        UsageError: others have their place, or the run names none.
    """
    settings, described = run.settings, run.data
    if described is None or described["image_shape"] is None or "data" not in settings:
        raise UsageError("the run names no data")
    if (held := held_images(run)) is not None:
        return held
    if settings["data"].startswith(IN_MEMORY):
        raise UsageError("they were Python objects; hand them over again, as `images`")
    channels, height, width = described["image_shape"]
    images = data.load(
        settings["data"],
        split=described["split"],
        image_shape=(channels, height, width),
        resize=settings["resize"],
        root=None if settings["data_root"] is None else Path(settings["data_root"]),
    )
    if images.fingerprint != described["fingerprint"]:
        raise UsageError(f"{settings['data']} does not hold the images of this run any more")
    return images


def grid_of(run: Run, noise: NoiseDistribution, values: int, total_variation: float) -> Grid | None:
    """The grid on which a run drew its noise, by the distance to ideal noise that was taken off; None for no grid."""
    algorithm = run.manifest.get("noise_algorithm")
    if algorithm not in ALGORITHMS:
        return None
    grids = (Grid.fitting(noise, eight_bit=eight_bit, algorithm=algorithm) for eight_bit in (True, False))
    return next((grid for grid in grids if grid.total_variation(noise, values) == total_variation), None)
