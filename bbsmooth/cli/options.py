"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Oracle = Annotated[
    str, typer.Option("--oracle", help="The classifier to query; `bbsmooth oracle list` says how to name one.")
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="With --oracle local-vit: a timm architecture in its place, the same as --oracle timm:MODEL."
    ),
]
Data = Annotated[str, typer.Option("--data", help="The images; `bbsmooth data list` says what there is.")]
Sigma = Annotated[float, typer.Option("--sigma", help="Standard deviation of the noise; white is 1.")]
Out = Annotated[Path, typer.Option("--out", help="Run directory; everything about the run goes there.")]
Coordinator = Annotated[
    Path | None,
    typer.Option(
        "--coordinator", help="Run directory of a `bbsmooth tune`, whose coordinator stands before the oracle."
    ),
]
Noise = Annotated[
    str, typer.Option("--noise", help="Distribution of the noise: gaussian (L2), laplace or uniform (L1).")
]
Alpha = Annotated[
    float, typer.Option("--alpha", help="Probability, over the draws, that a statement about an image is wrong.")
]
Budget = Annotated[
    int | None, typer.Option("--budget", help="Queries (images sent to the oracle) that may be spent in all.")
]
Price = Annotated[float | None, typer.Option("--price", help="Price of 1,000 queries.")]
MaxPrice = Annotated[float | None, typer.Option("--max-price", help="What may be paid in all; needs --price.")]
Seed = Annotated[int, typer.Option("--seed", help="Names every random draw of the run.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
BatchSize = Annotated[int, typer.Option("--batch-size", help="Images in one call of the oracle; changes no result.")]
Concurrency = Annotated[int, typer.Option("--concurrency", help="Calls under way at once; changes no result.")]
Device = Annotated[str, typer.Option("--device", help="Of local oracles: auto, cpu, cuda, cuda:N, mps.")]
Dtype = Annotated[str, typer.Option("--dtype", help="Arithmetic of local oracles: float32, bfloat16, float16.")]
Resize = Annotated[bool, typer.Option("--resize", help="Scale and crop images to the shape that the oracle takes.")]
DataRoot = Annotated[Path | None, typer.Option("--data-root", help="Where downloaded data sets lie.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch a data set that is not on disk.")]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]


def oracle_name(oracle: str, model: str | None) -> str:
    """The oracle that `--oracle` and `--model` mean together."""
    if model is None:
        return oracle
    if oracle != "local-vit":
        raise typer.BadParameter("--model goes with --oracle local-vit only; name the model in --oracle itself")
    return f"timm:{model}"
