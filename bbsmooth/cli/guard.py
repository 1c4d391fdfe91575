"""Every failure as one clear line and the exit status that the contract names."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

_USAGE = 2


@contextmanager
def guarded(out: Path | None = None, *, as_json: bool = False) -> Iterator[None]:
    """Turn errors into a line on stderr and an exit status: see `bbsmooth.commands.endings`.

    Args:
        out: the run directory, to say how to go on.
        as_json: whether stdout gets one JSON object also where something went wrong.
    """
    from bbsmooth.commands.endings import ENDINGS, EXIT_STATUS  # imports torch, without which --help answers at once
    from bbsmooth.data import DataError
    from bbsmooth.errors import UsageError
    from bbsmooth.runs import MANIFEST, Status
    from oracles import InputError

    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except (UsageError, DataError, InputError) as error:
        _stop(f"error: {error}", _USAGE, as_json)
    except tuple(ENDINGS) as error:
        status = next(status for kind, status in ENDINGS.items() if isinstance(error, kind))
        line = f"{status.value}{': ' if str(error) else ''}{error}"
        if out is not None and (out / MANIFEST).exists():
            advice = "with a larger --budget and --resume" if status is Status.BUDGET else "with --resume"
            line += f"; everything so far is saved in {out}, and the same command {advice} goes on from there"
        _stop(line, EXIT_STATUS[status], as_json)
    except Exception as error:
        if os.environ.get("BBSMOOTH_DEBUG"):
            raise
        _stop(f"failed: {_line(error)}; BBSMOOTH_DEBUG=1 shows where", EXIT_STATUS[Status.FAILED], as_json)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _stop(line: str, exit_status: int, as_json: bool) -> NoReturn:
    print(line, file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps({"error": line, "exit_status": exit_status}))
    raise typer.Exit(exit_status) from None


def _line(error: Exception) -> str:
    if isinstance(error, OSError):
        return " ".join(str(error).split())
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
