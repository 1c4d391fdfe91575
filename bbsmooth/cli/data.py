"""`bbsmooth data list`."""

from __future__ import annotations

import json

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded, need_command

data_app = typer.Typer(
    help="Images to certify and to tune on: list.", invoke_without_command=True, callback=need_command
)


@data_app.command("list")
def list_data(as_json: options.Json = False) -> None:
    """List the data sets that --data can name."""
    with guarded(as_json=as_json):
        from bbsmooth import data

        rows = data.names()
        if as_json:
            print(json.dumps({"data": [row._asdict() for row in rows]}))
            return
        for row in rows:
            print(f"{row.name}\n    {row.description}{'; ' if row.sizes else ''}{row.sizes}")
