"""Every failure as one clear line, in the command line's own names, and the exit status that the contract names."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

from bbsmooth.errors import without_passwords
from bbsmooth.runs.layout import MANIFEST
from bbsmooth.settings.flags import in_flags

USAGE = 2
"""Exit status of wrong usage or input."""

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM."""

_FAILED = 1
_GO_ON = "everything so far is saved in {out}, and the same command with {what} goes on from there"


@contextmanager
def guarded(out: str | Path | None = None, *, as_json: bool = False, progress: str | None = None) -> Iterator[None]:
    """Turn errors into a line on stderr and an exit status: see `bbsmooth.runs.endings`.

    SIGTERM ends the block as Ctrl-C does. Of the processes that `torchrun` started only the first one shows progress
    and prints for programs. With BBSMOOTH_DEBUG in the environment the traceback is shown as well.

    Args:
        out: the run directory or its URL, to say how to go on.
        as_json: whether stdout gets one JSON object also where something went wrong.
        progress: how progress is shown, see `bbsmooth.progress.meter`; None where there is none.
    """
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        from bbsmooth.cli.notes import notes_shown

        with notes_shown(), _progress_shown(progress):
            yield
        sys.stdout.flush()
    except (typer.Exit, BrokenPipeError):
        raise
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("BBSMOOTH_DEBUG"):
            print(without_passwords(traceback.format_exc()), file=sys.stderr)
        line, exit_status = _describe(error, out if leads() else None)
        stop(line, exit_status, as_json=as_json and leads())
    finally:
        signal.signal(signal.SIGTERM, previous)


def _progress_shown(style: str | None) -> AbstractContextManager[None]:
    if style is None:
        return nullcontext()
    from bbsmooth.progress.meter import showing  # and rich and tqdm

    return showing(style if leads() else "none")


def leads() -> bool:
    """True if this is the first, or the only one, of the processes that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def stop(line: str, exit_status: int, *, as_json: bool) -> NoReturn:
    """Say what went wrong in one line on stderr, with `as_json` in an object on stdout too, and leave."""
    line = without_passwords(_one_line(in_flags(line)))
    print(line, file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps({"error": line, "exit_status": exit_status}), flush=True)
    raise typer.Exit(exit_status) from None


def need_command(context: typer.Context) -> None:
    """Print the help of a group of commands where none of them is named, and leave."""
    if context.invoked_subcommand is None:
        if text := context.get_help():  # empty where rich has printed it already
            print(text)
        raise typer.Exit(USAGE)


def _describe(error: BaseException, out: str | Path | None) -> tuple[str, int]:
    """The line and the exit status."""
    if _interrupted(error):  # perhaps in the middle of an import, so nothing is imported here
        return f"interrupted{_advice(out, '--resume')}", INTERRUPTED
    try:
        from bbsmooth.data import DataError
        from bbsmooth.errors import FrontFailed, UsageError
        from bbsmooth.runs.directory import Status
        from bbsmooth.runs.endings import ENDINGS, EXIT_STATUS
        from oracles import InputError, RecordDamaged
    except Exception:  # an installation that is broken: what `error` says is all that can be said
        return f"failed: {type(error).__name__}: {error}; is the installation complete?", _FAILED

    if isinstance(error, FrontFailed) or type(error) is InputError:  # perhaps after thousands of answers
        return f"error: {error}{_advice(out, '--resume')}", USAGE
    if isinstance(error, (UsageError, DataError, InputError, RecordDamaged)):
        return f"error: {error}", USAGE
    status = next((status for kind, status in ENDINGS.items() if isinstance(error, kind)), Status.FAILED)
    if status is Status.FAILED:
        known = isinstance(error, OSError)
        text = str(error) if known else f"{type(error).__name__}: {error}; BBSMOOTH_DEBUG=1 shows where"
        return f"failed: {text}{_advice(out, '--resume')}", _FAILED
    text = str(error).removeprefix("budget exhausted: ")
    larger = "a larger --budget (or --max-price, --max-attempts) and " if status is Status.BUDGET else ""
    return f"{status.value}: {text}{_advice(out, f'{larger}--resume')}", EXIT_STATUS[status]


def _interrupted(error: BaseException | None) -> bool:
    """True where Ctrl-C stands behind an error: some packages turn it into one of their own while they are imported."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or (error.__context__ if isinstance(error, ImportError) else None)
    return error is not None


def _advice(out: str | Path | None, what: str) -> str:
    if out is None or not _holds_run(out):
        return ""
    return f"; {_GO_ON.format(out=out if '://' in str(out) else Path(out), what=what)}"


def _holds_run(out: str | Path) -> bool:
    if "://" in str(out):
        from bbsmooth.runs.remote import holds_run

        return holds_run(out)

    return (Path(out) / MANIFEST).exists()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
