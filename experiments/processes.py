"""Servers that do not outlive whoever started them, however that one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

_PATIENCE = 30.0
"""Seconds that a server has to end by itself."""


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as an exception does, so that what it started is ended too."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    kept = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, all of which ends with the block, also by a signal.

    Where this process is killed at once, the pipe to the other one closes, which `end_with_parent` there notices.
    """
    given, taken = subprocess.PIPE, subprocess.DEVNULL
    with (
        leaving_on_signals(),
        subprocess.Popen(command, stdin=given, stdout=taken, start_new_session=True) as process,
    ):
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)


def end_with_parent() -> None:
    """Let the group of this process end once the process that started it is gone; its standard input is the sign."""

    def wait() -> None:
        os.read(0, 1)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
