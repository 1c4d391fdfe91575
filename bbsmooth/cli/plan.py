"""`bbsmooth plan`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.places import perhaps_writing


def plan(
    oracle: options.Oracle,
    data: options.Data,
    sigma: options.Sigma,
    radius: Annotated[
        list[float],
        typer.Option("--radius", metavar="NUMBER", help="Radius that is wanted; may be repeated."),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="RUN",
            help="Run directory, whose answers `bbsmooth certify --reuse RUN` takes over. Without it nothing is kept.",
        ),
    ] = None,
    resume: options.Resume = False,
    coordinator: options.Coordinator = None,
    as_json: options.Json = False,
    n0: Annotated[
        int,
        typer.Option(
            "--n0",
            metavar="INTEGER",
            help="Draws that choose an image's class; the pilot asks these.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = 100,
    n: Annotated[
        int,
        typer.Option(
            "--n",
            metavar="INTEGER",
            help="Fresh draws that bound the probability of that class; with sequential at most so many.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = 10_000,
    alpha: options.Alpha = 0.001,
    beta: Annotated[
        float,
        typer.Option(
            metavar="NUMBER",
            help="With sequential: probability that a radius is given up although it holds.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = 0.001,
    noise: options.Noise = "gaussian",
    seed: options.Seed = 0,
    pilot: Annotated[
        int,
        typer.Option(
            "--pilot",
            metavar="IMAGES",
            help="Images that are asked about, chosen by chance; each costs n0 queries.",
            rich_help_panel=options.BUDGET,
        ),
    ] = 10,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            metavar="QUERIES",
            help="Most queries that the pilot may spend.",
            rich_help_panel=options.BUDGET,
        ),
    ] = None,
    price: options.Price = None,
    images: Annotated[
        int | None,
        typer.Option(
            "--images",
            metavar="IMAGES",
            help="Images to be certified, the first of the test split. Without it all.",
            rich_help_panel=options.IMAGES,
        ),
    ] = None,
    resize: options.Resize = False,
    data_root: options.DataRoot = None,
    download: options.Download = False,
    class_order: options.ClassOrder = None,
    model: options.Model = None,
    batch_size: options.BatchSize = 256,
    concurrency: options.Concurrency = None,
    device: options.Device = "auto",
    devices: options.Devices = None,
    dtype: options.Dtype = "float32",
) -> None:
    """Say what a certification would cost and prove, from a small pilot: queries, time and price, with intervals.

    Only the pilot is paid for. Its answers are the first that `bbsmooth certify` with the same seed needs; with --out
    they are kept, and --reuse there takes them over.
    """
    with guarded(out, as_json=as_json), perhaps_writing(out, resume=resume) as folder:
        from bbsmooth.api.sessions.plan import PlanConfig
        from bbsmooth.commands.by_name import plan as run
        from bbsmooth.progress.meter import say
        from bbsmooth.settings.common import DataConfig, OracleConfig, SmoothingConfig

        found = run(
            folder,
            oracle=OracleConfig(
                oracle=options.oracle_name(oracle, model),
                device=options.places(device, devices),
                dtype=dtype,
                batch_size=batch_size,
                concurrency=concurrency or 0,
                budget=budget,
                price=price,
                max_price=None,
            ),
            smoothing=SmoothingConfig(sigma=sigma, noise=noise, coordinator=coordinator, seed=seed),
            images=DataConfig(
                data=data, resize=resize, data_root=data_root, download=download, class_order=class_order
            ),
            config=PlanConfig(
                radii=tuple(sorted(set(radius))),
                num_selection=n0,
                num_estimation=n,
                alpha=alpha,
                beta=beta,
                images=images,
                pilot=pilot,
            ),
            resume=resume,
            announce=say,
        )
    print(json.dumps(found) if as_json else "\n".join(_lines(found, alpha, out)))


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
