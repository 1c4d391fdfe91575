"""The smoothed classes of images in memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

from bbsmooth.api.oracle import BATCH_SIZE
from bbsmooth.api.results import Predictions
from bbsmooth.api.sessions import predict as session
from bbsmooth.api.subject import AnyFront, AnyOracle, Callback, subject_of, told
from bbsmooth.noise import NoiseDistribution
from bbsmooth.settings.predict import PredictConfig
from bbsmooth.settings.stamp import STAMPED, StampConfig
from oracles import Budget


def predict(
    oracle: AnyOracle,
    images: Any,
    *,
    noise: NoiseDistribution,
    num_draws: int,
    alpha: float,
    seed: int | Literal["stamped"],
    run: Path | str | None = None,
    budget: Budget | None = None,
    front: AnyFront | None = None,
    resume: bool = True,
    timestamp: str | None = None,
    batch_size: int = BATCH_SIZE,
    concurrency: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> Predictions:
    """The smoothed class of each image, or an abstention where the votes leave doubt.

    Args:
        oracle: from `bbsmooth.oracle`, or what that takes.
        images: (N, C, H, W) uint8 or floats that are k / 255, or a data set.
        noise: `Gaussian`, `Laplace` or `Uniform`.
        num_draws: votes for one image.
        alpha: probability that a class is not the smoothed one.
        seed: of all draws; "stamped" derives it from the stamp of `timestamp`.
        run: the run directory, made where it is missing; None keeps nothing.
        budget: what may be spent in all, None for no limit.
        front: stands between the noise and the oracle: what `tune`, `pretrain` or `denoiser` returned, a
            function from images and sigma to images, or the directory of a run.
        resume: False refuses a directory that holds a run.
        timestamp: URL of an RFC 3161 authority that stamps `commitment.json`, what the run fixes before its first
            query; None for none.
        batch_size: images in one call of the oracle.
        concurrency: calls under way at once, None for what suits the oracle.
        callbacks: each told (task, done, facts) as the run goes on.

    Raises:
        ShapeError: images that are no 8-bit images.
        UsageError: settings that cannot work; nothing was spent.
        BudgetExhausted: the budget ended first; what is known is on disk.
        OracleError: see `oracles.errors`.
    """
    folder = None if run is None else Path(run)
    _, subject = subject_of(
        oracle,
        images,
        None,
        noise=noise,
        front=front,
        budget=budget,
        seed=0 if seed == STAMPED else seed,
        run=folder,
        batch_size=batch_size,
        concurrency=concurrency,
    )
    config = PredictConfig(
        files=tuple(f"image {index}" for index in range(len(subject.images))),
        num_draws=num_draws,
        alpha=alpha,
        resize=False,
    )
    stamp = StampConfig(timestamp=timestamp, seed=seed == STAMPED)
    with told(callbacks) if callbacks else nullcontext():
        return Predictions(session.predict(folder, subject, config=config, resume=resume, stamp=stamp), folder)
