"""The installed command: from the first moment on, Ctrl-C and SIGTERM end it in one line."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def run() -> None:
    """Load the command line and run it. Until it has parsed its arguments nothing is begun that could be lost."""
    previous = signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)  # an exception in the middle of an import may be caught, or become another
    from bbsmooth.cli.main import run as command

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, previous)
    try:
        command()
    except KeyboardInterrupt:
        _leave()


def _leave(number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
    """End at once, as `bbsmooth.cli.guard` ends a command that is interrupted."""
    if "--json" in sys.argv:
        os.write(1, b'{"error": "interrupted", "exit_status": 130}\n')
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)
