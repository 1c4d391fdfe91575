"""`bbsmooth tune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.places import found_in, writing
from bbsmooth.coordinator.denoisers.names import front_place
from bbsmooth.errors import UsageError
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.settings.common import THREADS, DataConfig, DriftConfig, OracleConfig, SmoothingConfig
from bbsmooth.settings.option import Default, Option, Panel
from bbsmooth.settings.sigma import SigmaPilotConfig, named_sigmas
from bbsmooth.settings.tune import TuneConfig, idle_without_queries

_BUDGET = Option(
    "Most queries that the run may spend in all; 0 stops after pre-training.", "QUERIES", default=Default.NONE
)


@asking
def tune(
    oracle: Annotated[OracleConfig, Options(without=("batch_size", "concurrency"), budget=_BUDGET)],
    images: DataConfig,
    smoothing: Annotated[dict[str, Any], Options(of=SmoothingConfig, without=("coordinator", "seed", "sigma"))],
    config: TuneConfig,
    drift: DriftConfig,
    batch: Annotated[BatchConfig, Options(without=("looks",))],
    pilot: SigmaPilotConfig,
    sigma: Annotated[
        list[str],
        typer.Option(
            "--sigma",
            metavar="NUMBER or auto",
            help="Standard deviation of the noise, on pixels in 0 to 1. auto chooses the one that certifies most at "
            "--radius, by a pilot from the same budget; several choose among these.",
        ),
    ],
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
    With --sigma auto the sigma that certifies most at --radius is chosen first; `bbsmooth certify` then takes that.
    """
    from bbsmooth.cli.notes import say
    from bbsmooth.commands.by_name import tune as run
    from bbsmooth.commands.by_name import tune_sigma as choose
    from bbsmooth.progress.tensorboard import logged

    number, stamp = options.seed_and_stamp(seed, timestamp)
    noise, sigmas = {**smoothing, "coordinator": start, "seed": number}, named_sigmas(sigma)
    if drift.canaries and oracle.budget == 0 and not resume:
        raise idle_without_queries("canaries")
    if sigmas is None:
        pilot.refuse_without_choice()
    elif batch.batch:
        raise UsageError("`batch` does not go with the choice of `sigma`: tune with the `sigma` that `plan` chooses")
    with writing(out, resume=resume) as folder:
        oracle = replace(oracle, batch_size=1, concurrency=1 if oracle.engine == THREADS else 0)
        about: dict[str, Any] = {"oracle": oracle, "images": images, "config": config, "stamp": stamp, "drift": drift}
        with logged(tensorboard):
            if sigmas is None:
                fixed = SmoothingConfig(sigma=float(sigma[0]), **noise)
                run(folder, smoothing=fixed, resume=resume, batch=batch, **about)
            else:
                choose(folder, noise=noise, sigmas=sigmas, pilot=pilot, resume=resume, announce=say, **about)
        found = found_in(folder, as_json=as_json)
    print(found)
