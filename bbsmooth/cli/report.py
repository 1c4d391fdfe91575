"""`bbsmooth report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.places import need_file, reading
from bbsmooth.errors import UsageError


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory, or its URL.")],
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="html, a page in one file; text; tsv, the field's log of certificates (idx label predict radius "
            "correct time); json; md; tex; png or svg, a figure. Without it what --out ends on, or html.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File to write. Without it report.html (png, svg) in RUN; the other forms are printed."
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            metavar="INTEGER",
            min=0,
            help="Most images of the page that get pictures. Without it 120.",
            show_default=False,
        ),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="A `bbsmooth attack` on this run, to show beside it; may be repeated."),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="GROUPS",
            help="Certified accuracy by group, with intervals that hold for all groups together: class, or "
            "FILE.csv:COLUMN, a row for each image of the data set.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Make a page of what a run found, or print it. Asks the oracle nothing."""
    with guarded(as_json=as_json or format == "json"), reading([run, *(attack or ())]) as (folder, *attacks):
        from bbsmooth.reporting.report import FILES, format_of
        from bbsmooth.reporting.report import report as make
        from bbsmooth.reporting.single import PICTURED

        form = options.printed_form(format, out, as_json=as_json)
        found = format_of(form, out)
        if found in FILES:
            need_file(run, out)
        if images is not None and found != "html":
            raise UsageError(f"`num_images` goes with html, not with {found}; leave it out")
        pictured = PICTURED if images is None else images
        made = make(folder, format=form, out=out, pictured=pictured, attacks=attacks, groups=groups)
        if as_json and out is not None:
            made = make(folder, format="json", out=None, pictured=0, groups=groups)
        print(made, end="")
