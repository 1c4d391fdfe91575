"""Waiting for what has to come, however busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

LONG = 300.0
"""Seconds after which a test has failed: no machine is so slow, and a test that passes never waits for it."""


def until(true: Callable[[], object]) -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline, "what a test waits for does not come"
        time.sleep(0.005)
