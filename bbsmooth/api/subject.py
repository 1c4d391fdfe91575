"""From the objects of a call to what a run is about, with settings that say so in its manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from bbsmooth.api.denoiser import Denoiser, Tuned
from bbsmooth.api.given import denoiser
from bbsmooth.api.oracle import BATCH_SIZE, OpenedOracle, as_opened
from bbsmooth.assemble import Front, Subject, settled
from bbsmooth.coordinator import Denoised, GivenDenoiser
from bbsmooth.coordinator.denoisers.given import is_named
from bbsmooth.coordinator.denoisers.names import front_place
from bbsmooth.data import ImageSet, Split, images_of
from bbsmooth.data.in_memory import GivenImages
from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution, Splitting
from bbsmooth.progress.meter import Facts, observing
from bbsmooth.runs.layout import FRONT
from bbsmooth.settings.common import IN_MEMORY, USUAL_CANARIES, USUAL_DRIFT, DataConfig, DriftConfig, SmoothingConfig
from oracles import Budget, Oracle
from oracles.price_tables import in_one_line

AnyOracle = str | nn.Module | Callable[..., Any] | Oracle
AnyFront = Tuned | Denoiser | GivenDenoiser | nn.Module | Callable[..., Any] | Path | str
Callback = Callable[[str, int, Facts], None]
"""Told a task, how much of it is done, and what came of it so far."""

UNLIMITED = Budget()


def noises_of(noise: NoiseDistribution | Sequence[NoiseDistribution]) -> list[NoiseDistribution]:
    """The noise, or those to choose from.

    Raises:
        UsageError: none, or several distributions.
    """
    levels = list(noise) if isinstance(noise, Sequence) else [noise]
    if len({each.name for each in levels}) != 1:
        raise UsageError("`noise` must be one, or several of one distribution to choose from")
    return levels


def subject_of(
    oracle: AnyOracle,
    images: Any,
    labels: Any,
    *,
    noise: NoiseDistribution | Splitting,
    front: AnyFront | None,
    budget: Budget | None,
    seed: int,
    run: Path | None,
    split: Split = Split.TEST,
    classes: Sequence[str] | None = None,
    batch_size: int = BATCH_SIZE,
    concurrency: int | None = None,
) -> tuple[OpenedOracle, Subject]:
    """The opened oracle, and the subject of a call.

    Args:
        oracle: see `bbsmooth.oracle`.
        images: see `bbsmooth.data.images_of`.
        labels: one an image, None for those that come with the images or none.
        noise: the noise.
        front: stands before the oracle: what `tune`, `pretrain` or `denoiser` returned, a function or torch module
            from images and sigma to images, or the directory of a run.
        budget: limits, None for none.
        seed: of every draw.
        run: the run directory, in which a front that is in memory is kept.
        split: which part of the data the images count as.
        classes: names of the labels.
        batch_size: images in one call.
        concurrency: calls under way at once, None for what suits the oracle.

    Raises:
        ShapeError: images that are no 8-bit images.
        UsageError: settings that do not go together.
    """
    asked, limits = as_opened(oracle), budget or UNLIMITED
    config = replace(
        asked.config,
        batch_size=batch_size,
        concurrency=asked.config.concurrency if concurrency is None else concurrency,
        budget=limits.queries,
        price=asked.config.price if limits.price_per_1000 is None else limits.price_per_1000,
        prices=asked.config.prices if limits.prices is None else in_one_line(limits.prices),
        max_price=limits.money,
        max_attempts=limits.attempts,
    )
    given = images_of(images, labels, classes=classes, split=split)
    before = front_of(front, noise.sigma)
    kept = None if run is None or before.held is None else run / FRONT
    return asked, Subject(
        oracle=asked.bare,
        asking=settled(asked.bare, config),
        smoothing=SmoothingConfig(sigma=noise.sigma, noise=noise.name, coordinator=kept or before.path, seed=seed),
        front=before,
        images=given,
        data=data_config(given),
    )


def data_config(images: ImageSet) -> DataConfig:
    """Return the settings' entry for the images: the name of a data set, or that they were objects."""
    name = f"{IN_MEMORY}{images.name}" if isinstance(images, GivenImages) else images.name
    return DataConfig(data=name, resize=False, data_root=None, download=False)


def drift_of(asked: OpenedOracle, canaries: int | None, canary_every: int) -> DriftConfig:
    """Return the settings that notice a change of the model: canaries, as usual, where it may be in other hands.

    Raises:
        UsageError: a distance between canaries, and none of these.
    """
    if canaries == 0 and canary_every != USUAL_DRIFT.canary_every:
        raise UsageError("`canary_every` does not count with `canaries` 0: leave one of them out")
    number = USUAL_CANARIES if canaries is None and asked.watched else canaries
    return DriftConfig(canaries=number, canary_every=canary_every)


@contextmanager
def told(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Tell everybody how far the block is."""

    def tell(task: str, done: int, facts: Facts) -> None:
        for callback in callbacks:
            callback(task, done, facts)

    with observing(tell):
        yield


def front_of(given: AnyFront | None, sigma: float) -> Front:
    """Return what stands before the oracle, opened where it is in memory.

    Raises:
        UsageError: it was made for other noise.
    """
    match given:
        case None:
            return Front(None, sigma)
        case Denoiser():
            return Front(None, sigma, (given.coordinator, given.parameters))
        case Tuned():
            return Front(given.run, sigma)
        case GivenDenoiser():
            return _before(given, sigma)
        case Path() | str():
            return Front(front_place(given), sigma)
        case _ if callable(given):
            return _before(denoiser(given), sigma)
    raise UsageError(f"`front` must be a run, a denoiser or a function, got {type(given).__name__}")


def _before(given: GivenDenoiser, sigma: float) -> Front:
    if is_named(given.source):
        return Front(Path(given.source), sigma)
    denoised = Denoised(denoiser=given, sigma=sigma)
    return Front(None, sigma, (denoised, denoised.initial_parameters()))
