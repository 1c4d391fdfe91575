"""`bbsmooth compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Two or more run directories.")],
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
    with guarded(as_json=as_json or format == "json"):
        from bbsmooth.commands.compare import compare as run

        print(run(runs, format="json" if as_json else format, out=out), end="")
