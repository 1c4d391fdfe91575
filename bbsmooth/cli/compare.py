"""`bbsmooth compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.places import reading


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Two or more run directories, or their URLs.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write: .html, .md, .tex (booktabs), .tsv, .json, .png or .svg."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="text, html, md, tex, tsv, json, png or svg. Without it what --out ends on."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Set runs side by side: certified accuracy with intervals, paired differences, queries and money."""
    with guarded(as_json=as_json or format == "json"), reading(runs) as folders:
        from bbsmooth.commands.compare import compare as run

        print(run(folders, format="json" if as_json else format, out=out), end="")
