"""Memory that is kept: blocks that are freed and taken again cost no page fault, in any thread."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLIBC = platform.libc_ver()[0] == "glibc"

_FAULTS = """
import ctypes, resource, sys, threading
from bbsmooth.memory import keep_memory
kept = sys.argv[1] == "1" and keep_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def blocks(times):
    for _ in range(times):
        held = [libc.malloc(6_000_000) for _ in range(4)]
        for block in held:
            ctypes.memset(block, 1, 6_000_000)
        for block in held:
            libc.free(block)

def count():
    blocks(3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks(20)
    print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=count)
thread.start()
thread.join()
"""


def faults(kept: bool, **environment: str) -> tuple[bool, int]:
    """True if memory is kept, and the page faults of 20 times 24 MB in a thread."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", _FAULTS, str(int(kept))],
        env=inherited | environment | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    said, number = done.stdout.split()
    return said == "1", int(number)


@pytest.mark.skipif(not GLIBC, reason="needs glibc")
def test_kept_memory_costs_no_page_faults_in_a_thread() -> None:
    pages = 20 * 24_000_000 // os.sysconf("SC_PAGESIZE")
    kept, number = faults(True)
    assert kept
    assert number < pages / 100
    assert faults(False)[1] > pages / 10


@pytest.mark.skipif(not GLIBC, reason="needs glibc")
def test_thresholds_of_the_environment_stand() -> None:
    assert not faults(True, MALLOC_TRIM_THRESHOLD_="131072")[0]
