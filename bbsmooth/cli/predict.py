"""`bbsmooth predict`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.places import perhaps_writing
from bbsmooth.settings.common import OracleConfig, SmoothingConfig
from bbsmooth.settings.predict import PredictConfig

_NO_ANSWER = "no answer"  # `Reason.NO_ANSWER`, as files have it


@asking
def predict(
    config: PredictConfig,
    oracle: Annotated[OracleConfig, Options(without=("engine", "workers"))],
    smoothing: Annotated[SmoothingConfig, Options(without=("seed",))],
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="RUN", help="Run directory, to keep what was answered. Without it nothing is kept."
        ),
    ] = None,
    resume: options.Resume = False,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
    seed: options.Seed = "0",
    timestamp: options.Timestamp = None,
) -> None:
    """Print the smoothed class of single images, abstaining where the votes do not prove it. Each costs n queries."""
    from bbsmooth.commands.by_name import predict as run

    number, stamp = options.seed_and_stamp(seed, timestamp)
    with perhaps_writing(out, resume=resume) as folder:
        found = run(
            folder,
            tuple(map(Path, config.files)),
            oracle=oracle,
            smoothing=replace(smoothing, seed=number),
            config=config,
            resume=resume,
            stamp=stamp,
            tell=(lambda entry: None) if as_json else _print,
        )
    if as_json:
        print(json.dumps({"predictions": found}))


def _print(entry: dict[str, Any]) -> None:
    """One line, whatever the service calls a class."""
    from oracles.remote.failures import presentable

    votes = entry["counts"].values()
    answer = "abstains" if entry["abstained"] else presentable(entry["name"])
    text = f"{entry['file']}\t{answer}\t{max(votes)} of {sum(votes)} votes, p = {entry['p_value']:.2g}"
    if entry["reason"] == _NO_ANSWER:
        text += " (most votes name no class: the oracle declined, or said none of its labels)"
    print(text, flush=True)
