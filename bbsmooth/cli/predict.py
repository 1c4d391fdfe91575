"""`bbsmooth predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded


def predict(
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    oracle: options.Oracle,
    sigma: options.Sigma,
    out: Annotated[Path | None, typer.Option(help="Run directory, to keep what was answered.")] = None,
    coordinator: options.Coordinator = None,
    n: Annotated[int, typer.Option("--n", help="Votes for one image.")] = 1000,
    alpha: options.Alpha = 0.001,
    budget: options.Budget = None,
    noise: options.Noise = "gaussian",
    seed: options.Seed = 0,
    resume: options.Resume = False,
    price: options.Price = None,
    max_price: options.MaxPrice = None,
    model: options.Model = None,
    batch_size: options.BatchSize = 256,
    concurrency: options.Concurrency = 2,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    resize: options.Resize = False,
    as_json: options.Json = False,
) -> None:
    """Print the smoothed class of single images, abstaining where the votes do not prove it. Each costs n queries."""
    with guarded(out, as_json=as_json):
        from bbsmooth.commands.predict import PredictConfig
        from bbsmooth.commands.predict import predict as run
        from bbsmooth.config import OracleConfig, SmoothingConfig

        found = run(
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
            config=PredictConfig(files=tuple(images), num_draws=n, alpha=alpha, resize=resize),
            resume=resume,
        )
        if as_json:
            print(json.dumps({"predictions": found}))
            return
        for entry in found:
            leader = max(entry["counts"].values())
            answer = "abstains" if entry["abstained"] else entry["name"]
            print(f"{entry['file']}\t{answer}\t{leader} of {n} votes, p = {entry['p_value']:.2g}")
