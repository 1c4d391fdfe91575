"""`bbsmooth predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.places import perhaps_writing


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files.")],
    oracle: options.Oracle,
    sigma: options.Sigma,
    out: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Run directory, to keep what was answered. Without it nothing is kept."),
    ] = None,
    resume: options.Resume = False,
    coordinator: options.Coordinator = None,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
    n: Annotated[
        int, typer.Option("--n", metavar="INTEGER", help="Votes for one image.", rich_help_panel=options.SAMPLING)
    ] = 1000,
    alpha: options.Alpha = 0.001,
    noise: options.Noise = "gaussian",
    seed: options.Seed = 0,
    budget: options.Budget = None,
    price: options.Price = None,
    max_price: options.MaxPrice = None,
    max_attempts: options.MaxAttempts = None,
    resize: options.Resize = False,
    model: options.Model = None,
    batch_size: options.BatchSize = 256,
    concurrency: options.Concurrency = None,
    device: options.Device = "auto",
    devices: options.Devices = None,
    dtype: options.Dtype = "float32",
) -> None:
    """Print the smoothed class of single images, abstaining where the votes do not prove it. Each costs n queries."""
    with guarded(out, as_json=as_json, progress=progress), perhaps_writing(out, resume=resume) as folder:
        from bbsmooth.api.sessions.predict import PredictConfig
        from bbsmooth.commands.by_name import predict as run
        from bbsmooth.settings.common import OracleConfig, SmoothingConfig

        found = run(
            folder,
            tuple(images),
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
            ),
            smoothing=SmoothingConfig(sigma=sigma, noise=noise, coordinator=coordinator, seed=seed),
            config=PredictConfig(files=tuple(map(str, images)), num_draws=n, alpha=alpha, resize=resize),
            resume=resume,
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
    print(text, flush=True)
