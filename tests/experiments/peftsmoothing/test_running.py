"""Steps of several threads end with the status of their own processes, and with the study that began them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path

import pytest

from experiments.peftsmoothing.running import _in_a_process
from tests.conftest import ROOT
from tests.experiments.test_processes import gone
from tests.waiting import until

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


STUDY = """
import pathlib, sys
from experiments.peftsmoothing.running import _in_a_process
from tests.experiments.peftsmoothing.test_running import _stand
_in_a_process(1, _stand, pathlib.Path(sys.argv[1]))
"""


def _stand(place: Path) -> None:
    """A step that would never end."""
    place.with_suffix(".part").write_text(str(os.getpid()))
    place.with_suffix(".part").rename(place)
    signal.pause()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_step_ends_with_the_study_that_began_it(number: signal.Signals, tmp_path: Path) -> None:
    place = tmp_path / "process"
    with subprocess.Popen([sys.executable, "-c", STUDY, str(place)], cwd=ROOT, stderr=subprocess.DEVNULL) as study:
        until(lambda: place.exists() or study.poll() is not None)
        step = int(place.read_text())
        assert not gone(step)
        study.send_signal(number)
        assert study.wait() == -number
    until(lambda: gone(step))
