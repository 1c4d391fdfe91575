"""`bbsmooth serve`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import INTERRUPTED, guarded

SERVER = "Server"


def serve(
    oracle: options.Oracle,
    port: Annotated[int, typer.Option("--port", metavar="INTEGER", help="Port to listen on; 0 takes any free one.")],
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen on; 0.0.0.0 lets other machines in, without asking who they are.",
        ),
    ] = "127.0.0.1",
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the model in URLs. Without it one that follows from the oracle's."),
    ] = None,
    as_json: options.Json = False,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            metavar="INTEGER",
            help="Most images in one request, and in one call of the oracle.",
            rich_help_panel=SERVER,
        ),
    ] = 256,
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency", metavar="INTEGER", help="Calls of the oracle under way at once.", rich_help_panel=SERVER
        ),
    ] = 1,
    max_delay: Annotated[
        float,
        typer.Option(
            "--max-delay",
            metavar="MILLISECONDS",
            help="Longest wait of a request for others that are answered in the same call.",
            rich_help_panel=SERVER,
        ),
    ] = 2.0,
    max_body: Annotated[
        int,
        typer.Option("--max-body", metavar="MIB", help="Largest body of a request.", rich_help_panel=SERVER),
    ] = 64,
    model: options.Model = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> None:
    """Put any oracle behind the Open Inference Protocol, for other programs or to try the remote path.

    Serves until Ctrl-C or SIGTERM, and then finishes what is under way. Needs `pip install 'bbsmooth[serve]'`.
    """
    with guarded(as_json=as_json):
        from bbsmooth.commands.serve import ServeConfig
        from bbsmooth.commands.serve import serve as run
        from bbsmooth.config import OracleConfig
        from bbsmooth.progress import say

        def announce(served: dict[str, Any]) -> None:
            print(json.dumps(served) if as_json else f"{served['served']} answers at {served['oracle']}", flush=True)
            if served["other_machines"]:
                say("other machines can reach it, and nobody is asked who they are")

        finished = run(
            OracleConfig(
                oracle=options.oracle_name(oracle, model),
                device=device,
                dtype=dtype,
                batch_size=batch_size,
                concurrency=concurrency,
                budget=None,
                price=None,
                max_price=None,
            ),
            ServeConfig(host=host, port=port, name=name, delay_milliseconds=max_delay, max_body=max_body),
            announce,
        )
        if not finished:
            raise typer.Exit(INTERRUPTED)
