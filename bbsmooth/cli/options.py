"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.errors import UsageError

SAMPLING = "Sampling and guarantee"
BUDGET = "Budget"
IMAGES = "Images"
SPEED = "Local oracles and speed"

Oracle = Annotated[
    str,
    typer.Option(
        "--oracle", metavar="ORACLE", help="The classifier to query; `bbsmooth oracle list` says how to name one."
    ),
]
Data = Annotated[
    str, typer.Option("--data", metavar="DATA", help="The images; `bbsmooth data list` says what there is.")
]
Sigma = Annotated[
    float, typer.Option("--sigma", metavar="NUMBER", help="Standard deviation of the noise, on pixels in 0 to 1.")
]
Out = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="RUN",
        help="Run directory; everything about the run is kept there. A URL (s3://BUCKET/RUN, gs://, sftp://, ...) is "
        "brought up to date every few seconds, and any machine can go on from it.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the run in --out; what it has already paid for is not paid again.")
]
Progress = Annotated[
    str,
    typer.Option(
        "--progress",
        metavar="NAME",
        help="Progress on stderr: auto (a bar on a terminal, else lines), json (an object a line) or none.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]
Coordinator = Annotated[
    Path | None,
    typer.Option(
        "--coordinator",
        metavar="RUN",
        help="Run directory of a `bbsmooth tune`, whose coordinator stands before the oracle; or the folder of a "
        "pretrained diffusers model, which denoises in one step.",
    ),
]

Noise = Annotated[
    str,
    typer.Option(
        "--noise",
        metavar="NAME",
        help="Distribution of the noise: gaussian (L2), laplace or uniform (L1); certify takes splitting (L1) too.",
        rich_help_panel=SAMPLING,
    ),
]
Alpha = Annotated[
    float,
    typer.Option(
        "--alpha",
        metavar="NUMBER",
        help="Probability, over the draws, that what is said about an image is wrong.",
        rich_help_panel=SAMPLING,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="INTEGER",
        help="Fixes every random draw; the same seed gives the same results.",
        rich_help_panel=SAMPLING,
    ),
]

Budget = Annotated[
    int | None,
    typer.Option(
        "--budget",
        metavar="QUERIES",
        help="Most queries (images sent to the oracle) that the run may spend in all.",
        rich_help_panel=BUDGET,
    ),
]
Price = Annotated[
    float | None,
    typer.Option(
        "--price",
        metavar="NUMBER",
        help="Price of 1,000 queries; without it what the oracle's file says.",
        rich_help_panel=BUDGET,
    ),
]
MaxPrice = Annotated[
    float | None,
    typer.Option(
        "--max-price",
        metavar="NUMBER",
        help="Most that the run may cost in all; needs --price.",
        rich_help_panel=BUDGET,
    ),
]
MaxAttempts = Annotated[
    int | None,
    typer.Option(
        "--max-attempts",
        metavar="REQUESTS",
        help="Most requests that the run may send in all, failed and repeated ones included.",
        rich_help_panel=BUDGET,
    ),
]

Resize = Annotated[
    bool,
    typer.Option("--resize", help="Scale and crop images to the shape that the oracle takes.", rich_help_panel=IMAGES),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="FOLDER",
        help="Where downloaded data sets lie; without it the environment's BBSMOOTH_DATA, or ~/.cache/bbsmooth/data.",
        rich_help_panel=IMAGES,
    ),
]
Download = Annotated[
    bool, typer.Option("--download", help="Fetch a data set that is not on disk.", rich_help_panel=IMAGES)
]
ClassOrder = Annotated[
    str | None,
    typer.Option(
        "--class-order",
        metavar="NAME",
        help="How the oracle's outputs follow folders or labels that are numbers: string (1, 10, 2, as torchvision "
        "reads folders) or numeric (1, 2, 10). Asked for where the two differ and nobody named the oracle's classes.",
        rich_help_panel=IMAGES,
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="With --oracle local-vit: a timm architecture in its place, as --oracle timm:NAME.",
        rich_help_panel=SPEED,
    ),
]
BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size",
        metavar="INTEGER",
        help="Images in one call of the oracle; changes no result.",
        rich_help_panel=SPEED,
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        metavar="INTEGER",
        min=1,
        help="Calls under way at once; changes no result. Without it what the oracle's file says, else 8 for remote "
        "oracles and 2 on each device for others.",
        rich_help_panel=SPEED,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device", metavar="NAME", help="Of local oracles: auto, cpu, cuda, cuda:N or mps.", rich_help_panel=SPEED
    ),
]
Devices = Annotated[
    str | None,
    typer.Option(
        "--devices",
        metavar="NAMES",
        help="Of local oracles: a replica on each, as in cuda:0,cuda:1, or all for every GPU; changes no result.",
        rich_help_panel=SPEED,
    ),
]
Dtype = Annotated[
    str,
    typer.Option(
        "--dtype",
        metavar="NAME",
        help="Arithmetic of local oracles: float32, bfloat16 or float16.",
        rich_help_panel=SPEED,
    ),
]

Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Who answers: threads of this process; ray, workers on this machine; ray://HOST:PORT, those of a Ray "
        "cluster, or ray://auto of the one that this machine belongs to. Changes no result. Needs "
        "`pip install 'bbsmooth[ray]'`, on every node.",
        rich_help_panel=SPEED,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="INTEGER",
        min=1,
        help="With --engine ray: how many. Without it one a GPU for local oracles, else one a processor.",
        rich_help_panel=SPEED,
    ),
]

Canaries = Annotated[
    int | None,
    typer.Option(
        "--canaries",
        metavar="IMAGES",
        help="Images that are asked again and again, to notice that the model was changed; 0 for none. Without it 8 "
        "for remote oracles, none for others.",
        rich_help_panel=BUDGET,
    ),
]
CanaryEvery = Annotated[
    int,
    typer.Option(
        "--canary-every",
        metavar="QUERIES",
        help="Ask the canaries after so many queries, or after 5 minutes.",
        rich_help_panel=BUDGET,
    ),
]


def places(device: str, devices: str | None) -> str:
    """Where a local oracle shall compute, by `--device` and `--devices` together.

    Raises:
        UsageError: both say something.
    """
    if devices is None:
        return device
    if device != "auto":
        raise UsageError(f"--device names one place and --devices several, got {device!r} and {devices!r}; give one")
    return devices


def oracle_name(oracle: str, model: str | None) -> str:
    """The oracle that `--oracle` and `--model` mean together.

    Raises:
        UsageError: both name a model.
    """
    if model is None:
        return oracle
    if oracle != "local-vit":
        raise UsageError(f"--model goes with --oracle local-vit only, not with {oracle!r}; use --oracle timm:{model}")
    return f"timm:{model}"
