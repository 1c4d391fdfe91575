"""`bbsmooth bundle`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded


def bundle(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The archive; RUN.zip beside the run if left out.")
    ] = None,
    images: Annotated[
        bool,
        typer.Option(
            "--images/--no-images",
            help="Whether the images go with it. Without them the archive holds their digests, and what cannot be "
            "checked elsewhere is said there.",
        ),
    ] = True,
    as_json: options.Json = False,
) -> None:
    """Write a run into one archive, which `bbsmooth verify FILE` checks on any other machine."""
    with guarded(as_json=as_json):
        from bbsmooth.verification.bundle import bundle as pack

        file = pack(run, out or run.resolve().with_suffix(".zip"), images=images)
        print(json.dumps({"bundle": str(file)}) if as_json else f"bundle: {file} ({file.stat().st_size:,} bytes)")
