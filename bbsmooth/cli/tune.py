"""`bbsmooth tune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.places import found_in, writing
from bbsmooth.coordinator.denoisers.names import front_place
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.settings.common import THREADS, DataConfig, DriftConfig, OracleConfig, SmoothingConfig
from bbsmooth.settings.option import Default, Option, Panel
from bbsmooth.settings.tune import TuneConfig

_BUDGET = Option(
    "Most queries that the run may spend in all; 0 stops after pre-training.", "QUERIES", default=Default.NONE
)


@asking(budget_grows=False)
def tune(
    oracle: Annotated[OracleConfig, Options(without=("batch_size", "concurrency"), budget=_BUDGET)],
    images: DataConfig,
    smoothing: Annotated[SmoothingConfig, Options(without=("coordinator", "seed"))],
    config: TuneConfig,
    drift: DriftConfig,
    batch: Annotated[BatchConfig, Options(without=("looks",))],
    out: options.Out,
    resume: options.Resume = False,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
    seed: options.Seed = "0",
    timestamp: options.Timestamp = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            "--tensorboard",
            metavar="FOLDER",
            help="Write loss and held-out accuracy there for TensorBoard, as they come.",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            metavar="RUN",
            parser=front_place,
            help="Start from the coordinator of this `bbsmooth tune` run instead of pre-training one; or from a "
            "denoiser, named as `bbsmooth certify --coordinator` takes it, behind which it is tuned.",
            rich_help_panel=Panel.TUNING.value,
        ),
    ] = None,
) -> None:
    """Train a coordinator in front of the oracle, from nothing but its answers, within a budget of queries.

    First a small autoencoder learns to denoise the training images, without a query. Then its decoder is tuned by
    zeroth-order optimisation. Held-out noisy images, paid from the same budget, decide which parameters are kept. With
    --batch each step is a job of the vendor's batch interface, which takes hours: --steps says how many there may be.
    """
    from bbsmooth.commands.by_name import tune as run
    from bbsmooth.progress.tensorboard import logged

    number, stamp = options.seed_and_stamp(seed, timestamp)
    with writing(out, resume=resume) as folder:
        with logged(tensorboard):
            run(
                folder,
                oracle=replace(oracle, batch_size=1, concurrency=1 if oracle.engine == THREADS else 0),
                smoothing=replace(smoothing, coordinator=start, seed=number),
                images=images,
                config=config,
                stamp=stamp,
                drift=drift,
                batch=batch,
                resume=resume,
            )
        found = found_in(folder, as_json=as_json)
    print(found)
