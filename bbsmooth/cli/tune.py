"""`bbsmooth tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.places import found_in, writing

_TUNING = "Tuning"
METHODS_IN_HELP = (
    "What is tuned and how; auto picks by what was measured, and says what and why: auto, equaliser, equaliser-film,"
    " equaliser-corrected, spsa-gc, spsa, spsa-adam, spsa-sign, gaussian, output-differences, distilled, zo-ds,"
    " blackvip."
)
OBJECTIVES_IN_HELP = (
    "What is made small: cross-entropy, margin, mistakes or radius, of the true label; or agreement, with the oracle's"
    " own answer to the clean image, which needs no labels but a query for each image, a tenth of the budget at most."
    " Without it, what the method was measured best with."
)


def tune(
    oracle: options.Oracle,
    data: options.Data,
    sigma: options.Sigma,
    budget: Annotated[
        int,
        typer.Option(metavar="QUERIES", help="Most queries that the run may spend in all; 0 stops after pre-training."),
    ],
    out: options.Out,
    resume: options.Resume = False,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write loss and held-out accuracy there for TensorBoard, as they come."),
    ] = None,
    method: Annotated[str, typer.Option(metavar="NAME", help=METHODS_IN_HELP, rich_help_panel=_TUNING)] = "auto",
    objective: Annotated[
        str | None, typer.Option(metavar="NAME", help=OBJECTIVES_IN_HELP, rich_help_panel=_TUNING)
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            metavar="INTEGER",
            help="Use only so many images of each class, at random, for pre-training and tuning.",
            rich_help_panel=_TUNING,
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Start from the coordinator of this `bbsmooth tune` run in place of pre-training.",
            rich_help_panel=_TUNING,
        ),
    ] = None,
    pretrain_epochs: Annotated[
        int,
        typer.Option(
            metavar="INTEGER", help="Epochs of denoising pre-training, without a query.", rich_help_panel=_TUNING
        ),
    ] = 40,
    noise: options.Noise = "gaussian",
    seed: options.Seed = 0,
    canaries: options.Canaries = None,
    canary_every: options.CanaryEvery = 5_000,
    price: options.Price = None,
    max_price: options.MaxPrice = None,
    max_attempts: options.MaxAttempts = None,
    train_images: Annotated[
        int,
        typer.Option(
            metavar="IMAGES", help="Use the first so many of the training split.", rich_help_panel=options.IMAGES
        ),
    ] = 10_000,
    resize: options.Resize = False,
    data_root: options.DataRoot = None,
    download: options.Download = False,
    class_order: options.ClassOrder = None,
    model: options.Model = None,
    engine: options.Engine = "threads",
    workers: options.Workers = None,
    device: options.Device = "auto",
    devices: options.Devices = None,
    dtype: options.Dtype = "float32",
) -> None:
    """Train a coordinator in front of the oracle, from nothing but its answers, within a budget of queries.

    First a small autoencoder learns to denoise the training images, without a query. Then its decoder is tuned by
    zeroth-order optimisation. Held-out noisy images, paid from the same budget, decide which parameters are kept.
    """
    with (
        guarded(out, as_json=as_json, budget_grows=False, progress=progress),
        writing(out, resume=resume) as folder,
    ):
        from bbsmooth.api.sessions.tune import TuneConfig
        from bbsmooth.commands.by_name import tune as run
        from bbsmooth.progress.tensorboard import logged
        from bbsmooth.settings.common import DataConfig, DriftConfig, OracleConfig, SmoothingConfig

        with logged(tensorboard):
            run(
                folder,
                oracle=OracleConfig(
                    oracle=options.oracle_name(oracle, model),
                    device=options.places(device, devices),
                    dtype=dtype,
                    batch_size=1,
                    concurrency=1 if engine == "threads" else 0,
                    budget=budget,
                    price=price,
                    max_price=max_price,
                    max_attempts=max_attempts,
                    engine=engine,
                    workers=workers or 0,
                ),
                smoothing=SmoothingConfig(sigma=sigma, noise=noise, coordinator=start, seed=seed),
                images=DataConfig(
                    data=data, resize=resize, data_root=data_root, download=download, class_order=class_order
                ),
                config=TuneConfig(
                    method=method,
                    objective=objective,
                    shots=shots,
                    pretrain_epochs=pretrain_epochs,
                    train_images=train_images,
                ),
                drift=DriftConfig(canaries=canaries, canary_every=canary_every),
                resume=resume,
            )
        found = found_in(folder, as_json=as_json)
    print(found)
