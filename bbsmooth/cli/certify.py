"""`bbsmooth certify`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded

RADII = (0.0, 0.25, 0.5, 0.75, 1.0)


def certify(
    oracle: options.Oracle,
    data: options.Data,
    sigma: options.Sigma,
    out: options.Out,
    resume: options.Resume = False,
    coordinator: options.Coordinator = None,
    as_json: options.Json = False,
    n0: Annotated[
        int,
        typer.Option(
            "--n0", metavar="INTEGER", help="Draws that choose an image's class.", rich_help_panel=options.SAMPLING
        ),
    ] = 100,
    n: Annotated[
        int,
        typer.Option(
            "--n",
            metavar="INTEGER",
            help="Fresh draws that bound the probability of that class.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = 10_000,
    alpha: options.Alpha = 0.001,
    method: Annotated[
        str,
        typer.Option(metavar="NAME", help="How votes become certificates: cohen.", rich_help_panel=options.SAMPLING),
    ] = "cohen",
    noise: options.Noise = "gaussian",
    seed: options.Seed = 0,
    radius: Annotated[
        list[float] | None,
        typer.Option(
            metavar="NUMBER",
            help="Radius at which certified accuracy is reported; may be repeated. Without it 0, 0.25, 0.5, 0.75, 1.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = None,
    budget: options.Budget = None,
    price: options.Price = None,
    max_price: options.MaxPrice = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="IMAGES",
            help="Certify the first so many images of the test split. Without it all.",
            rich_help_panel=options.IMAGES,
        ),
    ] = None,
    resize: options.Resize = False,
    data_root: options.DataRoot = None,
    download: options.Download = False,
    model: options.Model = None,
    batch_size: options.BatchSize = 256,
    concurrency: options.Concurrency = 2,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> None:
    """Certify images of the test split: a class and a radius within which no perturbation changes it.

    Each image costs n0 + n queries. Answers are recorded as they arrive; a run that ends early goes on with --resume
    and pays for nothing twice.
    """
    with guarded(out, as_json=as_json):
        from bbsmooth.commands.certify import CertifyConfig
        from bbsmooth.commands.certify import certify as run
        from bbsmooth.config import DataConfig, OracleConfig, SmoothingConfig
        from bbsmooth.errors import UsageError
        from bbsmooth.reports import run_json, run_text

        if method != "cohen":
            raise UsageError(f"--method must be cohen, got {method!r}")
        run(
            out,
            oracle=OracleConfig(
                oracle=options.oracle_name(oracle, model),
                device=device,
                dtype=dtype,
                batch_size=batch_size,
                concurrency=concurrency,
                budget=budget,
                price=price,
                max_price=max_price,
            ),
            smoothing=SmoothingConfig(sigma=sigma, noise=noise, coordinator=coordinator, seed=seed),
            images=DataConfig(data=data, resize=resize, data_root=data_root, download=download),
            config=CertifyConfig(
                num_selection=n0, num_estimation=n, alpha=alpha, radii=tuple(sorted(set(radius or RADII))), limit=limit
            ),
            resume=resume,
        )
        print(json.dumps(run_json(out)) if as_json else run_text(out))
