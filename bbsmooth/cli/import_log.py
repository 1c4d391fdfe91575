"""`bbsmooth import-log`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.certify import RADII
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.places import found_in, writing


def import_log(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A certification log: idx label predict radius correct time.")
    ],
    out: options.Out,
    sigma: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Standard deviation of its noise. Without it what the file's name says."),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Probability that a certificate is wrong; without it not stated."),
    ] = None,
    n0: Annotated[int | None, typer.Option("--n0", metavar="INTEGER", help="Draws that chose a class.")] = None,
    n: Annotated[int | None, typer.Option("--n", metavar="INTEGER", help="Draws that bounded it.")] = None,
    noise: Annotated[
        str, typer.Option(metavar="NAME", help="Distribution of its noise: gaussian (L2), laplace or uniform (L1).")
    ] = "gaussian",
    radius: Annotated[
        list[float] | None,
        typer.Option(metavar="NUMBER", help="Radius at which certified accuracy is counted; may be repeated."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Turn the certification log of another program into a run, so that it can be reported and compared."""
    with guarded(as_json=as_json), writing(out, resume=False) as folder:
        from bbsmooth.commands.import_log import ImportConfig
        from bbsmooth.commands.import_log import import_log as run

        config = ImportConfig(
            log=file,
            sigma=sigma,
            noise=noise,
            alpha=alpha,
            num_selection=n0,
            num_estimation=n,
            radii=tuple(sorted(set(radius or RADII))),
        )
        run(folder, config)
        found = found_in(folder, as_json=as_json)
    print(found)
