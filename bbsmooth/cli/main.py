"""The `bbsmooth` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bbsmooth.cli.accept import accept
from bbsmooth.cli.attack import attack
from bbsmooth.cli.attest import attest
from bbsmooth.cli.bundle import bundle
from bbsmooth.cli.certify import certify
from bbsmooth.cli.compare import compare
from bbsmooth.cli.data import data_app
from bbsmooth.cli.guard import INTERRUPTED, USAGE, need_command, stop
from bbsmooth.cli.import_log import import_log
from bbsmooth.cli.oracle import oracle_app
from bbsmooth.cli.plan import plan
from bbsmooth.cli.predict import predict
from bbsmooth.cli.report import report
from bbsmooth.cli.serve import serve
from bbsmooth.cli.train import train
from bbsmooth.cli.tune import tune
from bbsmooth.cli.verify import verify


class OneLineErrors(TyperGroup):
    """Says what is wrong with a command line in one line, or with --json in one object, as all other errors."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command and leave with its exit status."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            status = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.Abort:
            status = INTERRUPTED
        except Exception as error:
            if not hasattr(error, "format_message"):  # not of the parser
                raise
            status = _refuse(error, as_json="--json" in given)
        status = status if isinstance(status, int) else 0
        if standalone_mode:
            sys.exit(status)
        return status


def _refuse(error: Any, *, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    text = error.format_message().removesuffix(".")
    see = f"see `{context.command_path if context else 'bbsmooth'} --help`"
    try:
        stop(f"error: {text}{' ' if text.endswith('?') else '; '}{see}", USAGE, as_json=as_json)
    except typer.Exit as leave:
        return leave.exit_code


app = typer.Typer(
    name="bbsmooth",
    cls=OneLineErrors,
    help="Certified robustness for image classifiers that can only be queried, at the lowest cost in queries.",
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage or input, 3 stopped by the budget, 4 stopped by the oracle, "
    "5 a claim that is not shown, 130 interrupted. After 1, 3, 4 and 130 a run goes on with --resume.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(tune)
app.command()(train)
app.command()(plan)
app.command()(certify)
app.command()(accept)
app.command()(predict)
app.command()(attack)
app.command()(report)
app.command()(compare)
app.command()(verify)
app.command()(attest)
app.command()(bundle)
app.command("import-log")(import_log)
app.command()(serve)
app.add_typer(oracle_app, name="oracle")
app.add_typer(data_app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"bbsmooth {version('bbsmooth')}")
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    need_command(context)


def run() -> None:
    """Entry point of the installed command."""
    app()
