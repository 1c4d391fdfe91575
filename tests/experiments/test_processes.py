"""A server of a benchmark ends with whoever started it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import until

ROOT = Path(__file__).parents[2]
SERVER = """
import os, pathlib, signal, subprocess, sys
from experiments.processes import end_with_parent
signal.signal(signal.SIGTERM, signal.SIG_DFL)
end_with_parent()
worker = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
place = pathlib.Path(sys.argv[1])
place.with_suffix(".part").write_text(f"{os.getpid()} {worker.pid}")
place.with_suffix(".part").rename(place)
signal.pause()
"""
OWNER = """
import signal, sys
from experiments.processes import running
with running([sys.executable, "-c", sys.argv[1], sys.argv[2]]):
    signal.pause()
"""


def gone(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # ended, and nobody has asked how


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_a_server_and_its_workers_end_with_their_owner(number: signal.Signals, tmp_path: Path) -> None:
    place = tmp_path / "processes"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, SERVER, str(place)], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as owner:
        until(lambda: place.exists() or owner.poll() is not None)
        processes = [int(each) for each in place.read_text().split()]
        assert not any(map(gone, processes))
        owner.send_signal(number)
        assert owner.wait() != 0
    until(lambda: all(map(gone, processes)))
