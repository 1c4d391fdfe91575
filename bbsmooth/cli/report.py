"""`bbsmooth report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli.guard import guarded


def report(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    format: Annotated[
        str, typer.Option(help="text; tsv: the field's log of certificates; json: the summary.")
    ] = "text",
) -> None:
    """Print what a run found."""
    with guarded():
        from bbsmooth.errors import UsageError
        from bbsmooth.records import classic_log, read_certificates
        from bbsmooth.reports import run_json, run_text

        match format:
            case "text":
                print(run_text(run))
            case "json":
                print(json.dumps(run_json(run)))
            case "tsv":
                print(classic_log(read_certificates(run)), end="")
            case _:
                raise UsageError(f"--format must be text, tsv or json, got {format!r}")
