"""`bbsmooth report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    format: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="text; tsv, the field's log of certificates (idx label predict radius correct time); json.",
        ),
    ] = "text",
    as_json: options.Json = False,
) -> None:
    """Print what a run found."""
    with guarded(as_json=as_json or format == "json"):
        from bbsmooth.errors import UsageError
        from bbsmooth.reports import run_json, run_log, run_text

        match "json" if as_json else format:
            case "text":
                print(run_text(run))
            case "json":
                print(json.dumps(run_json(run)))
            case "tsv":
                print(run_log(run), end="")
            case _:
                raise UsageError(f"--format must be text, tsv or json, got {format!r}")
