"""`bbsmooth certify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.places import found_in, writing

RADII = (0.0, 0.25, 0.5, 0.75, 1.0)


def certify(
    oracle: options.Oracle,
    data: options.Data,
    sigma: options.Sigma,
    out: options.Out,
    resume: options.Resume = False,
    coordinator: options.Coordinator = None,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
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
            help="Fresh draws that bound the probability of that class; with sequential at most so many.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = 10_000,
    alpha: options.Alpha = 0.001,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="How votes become certificates: cohen asks n draws of every image; sequential stops as soon as each "
            "--radius is decided or, without one, as soon as more draws would hardly enlarge the radius.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = "cohen",
    bound: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="With cohen, what the votes prove: clopper-pearson, a lower bound on the class; two-class, besides an "
            "upper bound on every other class, which is more where these share the rest; randomised, a slightly higher "
            "lower bound by a random number of the image's own.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = "clopper-pearson",
    beta: Annotated[
        float,
        typer.Option(
            metavar="NUMBER",
            help="With sequential: probability that a radius is given up although it holds. No certificate depends on "
            "it.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = 0.01,
    tolerance: Annotated[
        float,
        typer.Option(
            metavar="NUMBER",
            help="With sequential and no --radius: how much smaller than after n draws a radius may be, as a share.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = 0.02,
    family_wise: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Share alpha among all images, so that with probability 1 - alpha no certificate is wrong: bonferroni "
            "or, with cohen, holm. Without it alpha is each image's own.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = None,
    noise: options.Noise = "gaussian",
    seed: options.Seed = 0,
    radius: Annotated[
        list[float] | None,
        typer.Option(
            metavar="NUMBER",
            help="Radius at which certified accuracy is reported, and which sequential decides; may be repeated. "
            "Without it reports are at 0, 0.25, 0.5, 0.75, 1.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = None,
    reuse: Annotated[
        Path | None,
        typer.Option(
            "--reuse",
            metavar="RUN",
            help="Run directory of an earlier certify or plan with the same seed and noise, whose answers are not "
            "asked for again.",
            rich_help_panel=options.BUDGET,
        ),
    ] = None,
    incremental_from: Annotated[
        Path | None,
        typer.Option(
            "--incremental-from",
            metavar="RUN",
            help="Run directory of a `bbsmooth certify` before the classifier was changed a little (a coordinator "
            "tuned further, another precision): of its draws only the first n are asked about again.",
            rich_help_panel=options.BUDGET,
        ),
    ] = None,
    allocation: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="With sequential and a budget, whose draws are paid for first: cheapest (decides the most images), "
            "uniform, round-robin or in-turn.",
            rich_help_panel=options.BUDGET,
        ),
    ] = "cheapest",
    canaries: options.Canaries = None,
    canary_every: options.CanaryEvery = 5_000,
    budget: options.Budget = None,
    price: options.Price = None,
    max_price: options.MaxPrice = None,
    max_attempts: options.MaxAttempts = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="IMAGES",
            help="Certify the first so many images of the test split. Without it all.",
            rich_help_panel=options.IMAGES,
        ),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What counts as right: data, the labels of the images if they have any; oracle, what the oracle says "
            "to the image without noise, for 1 query an image.",
            rich_help_panel=options.IMAGES,
        ),
    ] = "data",
    resize: options.Resize = False,
    data_root: options.DataRoot = None,
    download: options.Download = False,
    class_order: options.ClassOrder = None,
    model: options.Model = None,
    batch_size: options.BatchSize = 256,
    concurrency: options.Concurrency = None,
    engine: options.Engine = "threads",
    workers: options.Workers = None,
    device: options.Device = "auto",
    devices: options.Devices = None,
    dtype: options.Dtype = "float32",
) -> None:
    """Certify images of the test split: a class and a radius within which no perturbation changes it.

    Each image costs n0 + n queries, with --method sequential a small part of them. Answers are recorded as they arrive;
    a run that ends early goes on with --resume and pays for nothing twice.
    """
    with guarded(out, as_json=as_json, progress=progress), writing(out, resume=resume) as folder:
        from bbsmooth.commands.by_name import certify as run
        from bbsmooth.settings.certify import CertifyConfig
        from bbsmooth.settings.common import DataConfig, DriftConfig, OracleConfig, SmoothingConfig

        run(
            folder,
            oracle=OracleConfig(
                oracle=options.oracle_name(oracle, model),
                device=options.places(device, devices),
                dtype=dtype,
                batch_size=batch_size,
                concurrency=concurrency or 0,
                budget=budget,
                price=price,
                max_price=max_price,
                max_attempts=max_attempts,
                engine=engine,
                workers=workers or 0,
            ),
            smoothing=SmoothingConfig(sigma=sigma, noise=noise, coordinator=coordinator, seed=seed),
            images=DataConfig(
                data=data, resize=resize, data_root=data_root, download=download, class_order=class_order
            ),
            config=CertifyConfig(
                num_selection=n0,
                num_estimation=n,
                alpha=alpha,
                radii=tuple(sorted(set(radius or RADII))),
                limit=limit,
                method="growing" if method == "sequential" and not radius else method,
                beta=beta,
                tolerance=tolerance,
                allocation=allocation,
                family_wise=family_wise,
                bound=bound,
                labels=labels,
            ),
            drift=DriftConfig(canaries=canaries, canary_every=canary_every),
            reuse=reuse,
            incremental_from=incremental_from,
            resume=resume,
        )
        found = found_in(folder, as_json=as_json)
    print(found)
