"""`bbsmooth serve`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import INTERRUPTED, guarded
from bbsmooth.errors import UsageError

SERVER = "Server"
CLIENTS = "Smoothed: clients and their budgets"
_BODY, _SMOOTHED_BODY = 64, 16  # MiB


def serve(
    context: typer.Context,
    oracle: options.Oracle,
    port: Annotated[int, typer.Option("--port", metavar="INTEGER", help="Port to listen on; 0 takes any free one.")],
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen on; 0.0.0.0 lets other machines in, who are asked for a key only with --clients.",
        ),
    ] = "127.0.0.1",
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the model in URLs. Without it one that follows from the oracle's."),
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(
            "--sigma",
            metavar="NUMBER",
            help="Serve the smoothed classifier, with certificates for answers: standard deviation of the noise, on "
            "pixels in 0 to 1.",
        ),
    ] = None,
    as_json: options.Json = False,
    coordinator: options.Coordinator = None,
    n0: Annotated[
        int,
        typer.Option(
            "--n0", metavar="INTEGER", help="Draws that choose an image's class.", rich_help_panel=options.SAMPLING
        ),
    ] = 100,
    n: Annotated[
        int,
        typer.Option(
            "--n",
            metavar="INTEGER",
            help="Fresh draws that bound the probability of that class; with sequential at most so many.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = 10_000,
    alpha: options.Alpha = 0.001,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="cohen asks n draws of every image; sequential stops as soon as each --radius is decided or, without "
            "one, as soon as more draws would hardly enlarge the radius.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = "cohen",
    radius: Annotated[
        list[float] | None,
        typer.Option(
            metavar="NUMBER", help="Radius that sequential decides; may be repeated.", rich_help_panel=options.SAMPLING
        ),
    ] = None,
    bound: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="With cohen, what the votes prove: clopper-pearson, two-class or randomised; see `bbsmooth certify`.",
            rich_help_panel=options.SAMPLING,
        ),
    ] = "clopper-pearson",
    noise: options.Noise = "gaussian",
    max_queries_per_image: Annotated[
        int | None,
        typer.Option(
            "--max-queries-per-image",
            metavar="QUERIES",
            help="Most queries for one image; n is lowered where n0 + n would be more.",
            rich_help_panel=CLIENTS,
        ),
    ] = None,
    clients: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML file with a table for each client: key (or ${NAME} of an environment variable), and where "
            "wanted budget in queries and rate in requests a second. Without it anybody may ask.",
            rich_help_panel=CLIENTS,
        ),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where it is written down what each client and the service spent; needed with any budget.",
            rich_help_panel=CLIENTS,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Requests a second of each client that has no rate of its own.",
            rich_help_panel=CLIENTS,
        ),
    ] = None,
    max_images: Annotated[
        int,
        typer.Option("--max-images", metavar="INTEGER", help="Most images in one request.", rich_help_panel=CLIENTS),
    ] = 16,
    max_waiting: Annotated[
        int,
        typer.Option(
            "--max-waiting",
            metavar="IMAGES",
            help="Most images at work at once; more are turned away with 429 and told when to come again.",
            rich_help_panel=CLIENTS,
        ),
    ] = 64,
    budget: options.Budget = None,
    price: options.Price = None,
    max_price: options.MaxPrice = None,
    max_attempts: options.MaxAttempts = None,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            metavar="INTEGER",
            help="Most images in one call of the oracle and, of a bare one, in one request.",
            rich_help_panel=SERVER,
        ),
    ] = 256,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            metavar="INTEGER",
            help="Calls of the oracle under way at once. Without it 1 for a bare oracle; with --sigma what the "
            "oracle's file says, else 8 for remote oracles and 2 on each device for others.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    max_delay: Annotated[
        float,
        typer.Option(
            "--max-delay",
            metavar="MILLISECONDS",
            help="Bare: longest wait of a request for others that are answered in the same call.",
            rich_help_panel=SERVER,
        ),
    ] = 2.0,
    max_body: Annotated[
        int | None,
        typer.Option(
            "--max-body",
            metavar="MIB",
            help=f"Largest body of a request. Without it {_BODY}, with --sigma {_SMOOTHED_BODY}.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    grace: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            help="How long requests under way may take once the server is told to end.",
            rich_help_panel=SERVER,
        ),
    ] = 30,
    model: options.Model = None,
    device: options.Device = "auto",
    devices: options.Devices = None,
    dtype: options.Dtype = "float32",
) -> None:
    """Put any oracle behind the Open Inference Protocol or, with --sigma, its smoothed classifier with certificates.

    A smoothed one answers each image with a label or an abstention, radius, alpha, votes and queries used, with noise
    of its own that nobody can predict; it has a page to try it at /, its API's description at /docs and /openapi.json,
    and figures for Prometheus at /metrics. Serves until Ctrl-C or SIGTERM, and then finishes what is under way. Needs
    `pip install 'bbsmooth[serve]'`.
    """
    with guarded(as_json=as_json):
        from bbsmooth.commands.serve import ServeConfig
        from bbsmooth.progress.meter import say
        from bbsmooth.settings.common import OracleConfig

        def announce(served: dict[str, Any]) -> None:
            where = served.get("oracle") or f"{served['url']}, and on a page at {served.get('page')}"
            print(json.dumps(served) if as_json else f"{served['served']} answers at {where}", flush=True)
            if served["other_machines"] and not served.get("keyed"):
                say("other machines can reach it, and nobody is asked who they are")

        if sigma is None:
            _refuse_smoothed(context)
        elif radius and method != "sequential":
            raise UsageError(f"--radius is what --method sequential decides, got --method {method}; leave one out")
        bare = sigma is None
        asked = OracleConfig(
            oracle=options.oracle_name(oracle, model),
            device=options.places(device, devices),
            dtype=dtype,
            batch_size=batch_size,
            concurrency=concurrency if concurrency is not None else int(bare),
            budget=budget,
            price=price,
            max_price=max_price,
            max_attempts=max_attempts,
        )
        config = ServeConfig(
            host=host,
            port=port,
            name=name,
            delay_milliseconds=max_delay,
            max_body=max_body if max_body is not None else _BODY if bare else _SMOOTHED_BODY,
            grace=grace,
        )
        if sigma is None:
            from bbsmooth.commands.serve import serve as run

            finished = run(asked, config, announce)
        else:
            from bbsmooth.commands.serve_smoothed import ServiceConfig, serve_smoothed
            from bbsmooth.settings.certify import CertifyConfig
            from bbsmooth.settings.common import SmoothingConfig

            finished = serve_smoothed(
                asked,
                SmoothingConfig(sigma=sigma, noise=noise, coordinator=coordinator, seed=0),
                CertifyConfig(
                    num_selection=n0,
                    num_estimation=n,
                    alpha=alpha,
                    radii=tuple(sorted(set(radius or ()))),
                    limit=None,
                    method="growing" if method == "sequential" and not radius else method,
                    bound=bound,
                ),
                ServiceConfig(
                    max_queries_per_image=max_queries_per_image,
                    clients=clients,
                    ledger=ledger,
                    rate=rate,
                    max_images=max_images,
                    max_waiting=max_waiting,
                ),
                config,
                announce,
            )
        if not finished:
            raise typer.Exit(INTERRUPTED)


_SMOOTHED = (
    *("coordinator", "n0", "n", "alpha", "method", "radius", "bound", "noise", "max_queries_per_image", "clients"),
    *("ledger", "rate", "max_images", "max_waiting", "budget", "price", "max_price", "max_attempts"),
)


def _refuse_smoothed(context: typer.Context) -> None:
    """A bare oracle is served as it is: nobody shall believe in a budget or a certificate that is not there."""
    for given in _SMOOTHED:
        source = context.get_parameter_source(given)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--{given.replace('_', '-')} is for the smoothed classifier: give --sigma too")
