"""The installed command: from the first moment on, Ctrl-C and SIGTERM end it in one line."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def run() -> None:
    """Load the command line and run it. Until it has parsed its arguments nothing is begun that could be lost."""
    # An exception in the middle of an import may be caught, or become another. What a parent ignores stays ignored.
    handled = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) is not signal.SIG_IGN]
    previous = {one: signal.signal(one, _leave) for one in handled}
    from bbsmooth.cli.main import run as command
    from bbsmooth.memory import keep_memory

    keep_memory()  # before the first thread

    for one, handler in previous.items():
        signal.signal(one, handler)
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
