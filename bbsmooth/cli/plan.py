"""`bbsmooth plan`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.places import perhaps_writing
from bbsmooth.settings.common import DataConfig, OracleConfig, SmoothingConfig
from bbsmooth.settings.option import Option, Panel
from bbsmooth.settings.plan import PlanConfig

_BUDGET = Option("Most queries that the pilot may spend.", "QUERIES", Panel.BUDGET)


@asking
def plan(
    oracle: Annotated[
        OracleConfig, Options(without=("max_price", "max_attempts", "engine", "workers"), budget=_BUDGET)
    ],
    images: DataConfig,
    smoothing: SmoothingConfig,
    config: PlanConfig,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="RUN",
            help="Run directory, whose answers `bbsmooth certify --reuse RUN` takes over. Without it nothing is kept.",
        ),
    ] = None,
    resume: options.Resume = False,
    as_json: options.Json = False,
) -> None:
    """Say what a certification would cost and prove, from a small pilot: queries, time and price, with intervals.

    Only the pilot is paid for. Its answers are the first that `bbsmooth certify` with the same seed needs; with --out
    they are kept, and --reuse there takes them over.
    """
    from bbsmooth.cli.notes import say
    from bbsmooth.commands.by_name import plan as run

    with perhaps_writing(out, resume=resume) as folder:
        found = run(
            folder,
            oracle=oracle,
            smoothing=smoothing,
            images=images,
            config=config,
            resume=resume,
            announce=say,
        )
    print(json.dumps(found) if as_json else "\n".join(_lines(found, config.alpha, out)))


def _lines(found: dict[str, Any], alpha: float, out: str | None) -> Iterator[str]:
    """What is to be expected, for people."""
    pilot = found["pilot"]
    yield (
        f"pilot: {pilot['queries']:,} queries in {_time(pilot['seconds'])}; of {pilot['num_selection']} votes the "
        f"leading class got {', '.join(map(str, sorted(pilot['votes'])))}"
    )
    yield f"{found['images']:,} images, alpha {alpha:g}; expected (and where it lies with {found['confidence']:.0%}):"
    yield f"{'method':<12}{'radius':<14}{'certified %':<34}{'queries':<32}{'time':<10}price"
    for row in found["expected"]:
        price = row["price"]
        yield (
            f"{row['method']:<12}{', '.join(f'{radius:g}' for radius in row['radii']):<14}"
            f"{', '.join(map(_share, row['certified'])):<34}{_queries(row['queries']):<32}"
            f"{_time(row['seconds']['expected']):<10}{'-' if price is None else format(price['expected'], ',.2f')}"
        )
    if out is not None and "://" not in out:
        yield f"certify with --reuse {out} to pay for the pilot only once"


def _share(share: dict[str, float]) -> str:
    low, expected, high = (round(100 * share[key]) for key in ("low", "expected", "high"))
    return f"{expected} ({low} to {high})"


def _queries(queries: dict[str, float]) -> str:
    if queries["low"] == queries["high"]:
        return f"{queries['expected']:,.0f}"
    low, expected, high = (f"{float(f'{queries[key]:.2g}'):,.0f}" for key in ("low", "expected", "high"))
    return f"{expected} ({low} to {high})"


def _time(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
