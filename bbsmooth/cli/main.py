"""The `bbsmooth` command."""

from __future__ import annotations

import typer

from bbsmooth.cli.certify import certify
from bbsmooth.cli.data import data_app
from bbsmooth.cli.oracle import oracle_app
from bbsmooth.cli.predict import predict
from bbsmooth.cli.report import report
from bbsmooth.cli.tune import tune

app = typer.Typer(
    name="bbsmooth",
    help="Certified robustness for image classifiers that can only be queried, at the lowest cost in queries.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(tune)
app.command()(certify)
app.command()(predict)
app.command()(report)
app.add_typer(oracle_app, name="oracle")
app.add_typer(data_app, name="data")


def run() -> None:
    """Entry point of the installed command."""
    app()
