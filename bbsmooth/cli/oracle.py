"""`bbsmooth oracle check` and `bbsmooth oracle list`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded, need_command

oracle_app = typer.Typer(
    help="Classifiers that can be queried: list, check.", invoke_without_command=True, callback=need_command
)


@oracle_app.command("list")
def list_oracles(as_json: options.Json = False) -> None:
    """List the ways of naming an oracle."""
    with guarded(as_json=as_json):
        from oracles.registry import schemes

        rows = [(scheme.usage, scheme.summary) for scheme in schemes().values()]
        if as_json:
            print(json.dumps({"oracles": [{"usage": usage, "summary": summary} for usage, summary in rows]}))
            return
        for usage, summary in rows:
            print(f"{usage}\n    {summary}")


@oracle_app.command("check")
def check(
    oracle: Annotated[str, typer.Argument(metavar="ORACLE", help="The oracle, as in --oracle.")],
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
        for key, value in found.items():
            text = "x".join(map(str, value)) if isinstance(value, list) else value
            print(f"{key.replace('_', ' '):<14}{'-' if text is None else text}")
