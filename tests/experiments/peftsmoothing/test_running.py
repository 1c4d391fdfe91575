"""Steps of several threads end with the status of their own processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver

import pytest

from experiments.peftsmoothing.running import _in_a_process

pytestmark = pytest.mark.slow  # the first process imports what a study needs


def _nothing() -> None:
    """A step that ends at once."""


def _status(what: object, *arguments: object) -> object:
    try:
        _in_a_process(1, what, *arguments)  # type: ignore[arg-type]
    except SystemExit as end:
        return end.code
    return 0


def test_a_process_that_starts_takes_no_status_that_another_thread_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one starts, or tries to, when the first one's process has ended and its status is about to be read."""
    read, first, calls = forkserver.read_signed, threading.get_ident(), 0
    with ThreadPoolExecutor(1) as pool:
        tried = []

        def slowly(fd: int) -> int:
            nonlocal calls
            if threading.get_ident() == first:
                calls += 1
                if calls == 2:  # the first call reads the number of the process
                    tried.append(pool.submit(_status, _nothing))
                    threading.Event().wait(1)  # long enough for a start to take the status, were it let
            return int(read(fd))

        monkeypatch.setattr(forkserver, "read_signed", slowly)
        assert _status(sys.exit, 7) == 7
        assert tried[0].result() == 0


def test_a_step_that_is_killed_says_so() -> None:
    assert _status(_killed) == "a step was ended by signal 9"


def _killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
