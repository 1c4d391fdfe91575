"""`bbsmooth data list`."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.table import Table

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded

data_app = typer.Typer(help="Data sets.", no_args_is_help=True)


@data_app.callback()
def _group() -> None:
    """Data sets."""


@data_app.command("list")
def list_data(as_json: options.Json = False) -> None:
    """List the data sets that --data can name."""
    with guarded(as_json=as_json):
        from bbsmooth import data

        rows = data.names()
        if as_json:
            print(json.dumps({"data": [row._asdict() for row in rows]}))
            return
        table = Table("name", "what it is", "images", box=None)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
