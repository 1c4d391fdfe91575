"""`bbsmooth tune`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded

_TUNING = "Tuning"
METHODS_IN_HELP = "What is tuned and how: spsa-gc, spsa, spsa-adam, output-differences, blackvip."


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
    method: Annotated[str, typer.Option(metavar="NAME", help=METHODS_IN_HELP, rich_help_panel=_TUNING)] = "spsa-gc",
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
    price: options.Price = None,
    max_price: options.MaxPrice = None,
    train_images: Annotated[
        int,
        typer.Option(
            metavar="IMAGES", help="Use the first so many of the training split.", rich_help_panel=options.IMAGES
        ),
    ] = 10_000,
    resize: options.Resize = False,
    data_root: options.DataRoot = None,
    download: options.Download = False,
    model: options.Model = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> None:
    """Train a coordinator in front of the oracle, from nothing but its answers, within a budget of queries.

    First a small autoencoder learns to denoise the training images, without a query. Then its decoder is tuned by
    zeroth-order optimisation. Held-out noisy images, paid from the same budget, decide which parameters are kept.
    """
    with guarded(out, as_json=as_json, budget_grows=False):
        from bbsmooth.commands.tune import TuneConfig, tune_coordinator
        from bbsmooth.config import DataConfig, OracleConfig, SmoothingConfig
        from bbsmooth.reports import run_json, run_text

        tune_coordinator(
            out,
            oracle=OracleConfig(
                oracle=options.oracle_name(oracle, model),
                device=device,
                dtype=dtype,
                batch_size=1,
                concurrency=1,
                budget=budget,
                price=price,
                max_price=max_price,
            ),
            smoothing=SmoothingConfig(sigma=sigma, noise=noise, coordinator=start, seed=seed),
            images=DataConfig(data=data, resize=resize, data_root=data_root, download=download),
            config=TuneConfig(method=method, pretrain_epochs=pretrain_epochs, train_images=train_images),
            resume=resume,
        )
        print(json.dumps(run_json(out)) if as_json else run_text(out))
