"""`bbsmooth oracle check` and `bbsmooth oracle list`."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded

oracle_app = typer.Typer(help="Classifiers that can be queried.", no_args_is_help=True)


@oracle_app.command("list")
def list_oracles(as_json: options.Json = False) -> None:
    """List the ways of naming an oracle."""
    with guarded(as_json=as_json):
        from oracles.registry import schemes

        rows = [(scheme.usage, scheme.summary) for scheme in schemes().values()]
        if as_json:
            print(json.dumps({"oracles": [{"usage": usage, "summary": summary} for usage, summary in rows]}))
            return
        table = Table(Column("name", overflow="fold"), "what it is", box=None)
        for usage, summary in rows:
            table.add_row(usage.replace("[", r"\["), summary)
        Console().print(table)


@oracle_app.command("check")
def check(
    oracle: Annotated[str, typer.Argument(help="The oracle, as in --oracle.")],
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    as_json: options.Json = False,
) -> None:
    """Connect, send one image, and print what the oracle is, what it returns and how fast. Costs 1 query."""
    with guarded(as_json=as_json):
        from bbsmooth.commands.check import check as run

        found = run(oracle, device=device, dtype=dtype)
        if as_json:
            print(json.dumps(found))
            return
        table = Table(box=None, show_header=False)
        for key, value in found.items():
            table.add_row(key.replace("_", " "), str(value))
        Console().print(table)
