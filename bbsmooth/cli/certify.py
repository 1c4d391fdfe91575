"""`bbsmooth certify`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.places import found_in, writing
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import DataConfig, DriftConfig, OracleConfig, SmoothingConfig
from bbsmooth.settings.option import Panel


@asking
def certify(
    oracle: OracleConfig,
    images: DataConfig,
    smoothing: Annotated[SmoothingConfig, Options(without=("seed",))],
    config: CertifyConfig,
    drift: DriftConfig,
    batch: BatchConfig,
    out: options.Out,
    resume: options.Resume = False,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
    seed: options.Seed = "0",
    timestamp: options.Timestamp = None,
    reuse: Annotated[
        Path | None,
        typer.Option(
            "--reuse",
            metavar="RUN",
            help="Run directory of an earlier certify or plan with the same seed and noise, whose answers are not "
            "asked for again.",
            rich_help_panel=Panel.BUDGET.value,
        ),
    ] = None,
    incremental_from: Annotated[
        Path | None,
        typer.Option(
            "--incremental-from",
            metavar="RUN",
            help="Run directory of a `bbsmooth certify` before the classifier was changed a little (a coordinator "
            "tuned further, another precision): of its draws only the first n are asked about again.",
            rich_help_panel=Panel.BUDGET.value,
        ),
    ] = None,
) -> None:
    """Certify images of the test split: a class and a radius within which no perturbation changes it.

    Each image costs n0 + n queries, with --method sequential a small part of them. Answers are recorded as they arrive;
    a run that ends early goes on with --resume and pays for nothing twice.
    """
    from bbsmooth.commands.by_name import certify as run

    number, stamp = options.seed_and_stamp(seed, timestamp)
    with writing(out, resume=resume) as folder:
        run(
            folder,
            oracle=oracle,
            smoothing=replace(smoothing, seed=number),
            images=images,
            config=config,
            drift=drift,
            batch=batch,
            reuse=reuse,
            incremental_from=incremental_from,
            stamp=stamp,
            resume=resume,
        )
        found = found_in(folder, as_json=as_json)
    print(found)
