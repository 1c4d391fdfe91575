"""`bbsmooth accept`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.places import found_in, writing
from bbsmooth.settings.accept import AcceptConfig
from bbsmooth.settings.common import DataConfig, DriftConfig, OracleConfig, SmoothingConfig

NOT_SHOWN = 5
"""Exit status where the claim is refuted or not shown."""


@asking
def accept(
    oracle: OracleConfig,
    images: DataConfig,
    smoothing: Annotated[SmoothingConfig, Options(without=("seed",))],
    config: AcceptConfig,
    drift: DriftConfig,
    out: options.Out,
    resume: options.Resume = False,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
    seed: options.Seed = "0",
    timestamp: options.Timestamp = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Write the answers as JUnit XML too, for systems that run tests."),
    ] = None,
) -> None:
    """Answer whether enough images are right and robust: shown, refuted, or not shown, each with its risk.

    Images come in an order that the seed fixes, and their noisy copies one after the other, until the answer is known.
    Exit status 0 where the claim is shown, 5 where it is refuted or not shown, also where the budget ended first; then
    a larger --budget with --resume goes on.
    """
    from bbsmooth.commands.by_name import accept as run
    from bbsmooth.reporting.junit import write_junit
    from bbsmooth.runs.certificates import read_summary
    from bbsmooth.runs.reading import read_run
    from oracles import BudgetExhausted

    number, stamp = options.seed_and_stamp(seed, timestamp)
    with writing(out, resume=resume) as folder:
        try:
            run(
                folder,
                oracle=oracle,
                smoothing=replace(smoothing, seed=number),
                images=images,
                config=config,
                drift=drift,
                resume=resume,
                stamp=stamp,
            )
        except BudgetExhausted:
            from bbsmooth.cli.notes import say

            say(f"the budget ended before there was an answer; a larger --budget and --resume go on with {out}")
        found = found_in(folder, as_json=as_json)
        if junit is not None:
            write_junit(read_run(folder), junit)
        shown = read_summary(folder)["answer"] == "shown"
    print(found)
    if not shown:
        raise typer.Exit(NOT_SHOWN)
