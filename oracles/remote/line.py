"""How it stands between us and one server: whether it answers, and whether asking still goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from copy import copy

from torch import Tensor

from oracles.errors import OracleUnavailable


class Line:
    """What all threads that ask one server share. Once it has ended, nobody asks any more until it is reopened.

    Args:
        patience_seconds: of failure without a single answer in between, after which it ends.
        now: a clock.
        wait: waits for an event, at most so many seconds; whether it came.

    Attributes:
        canary: (1, C, H, W) the first image that was answered, None before: a question that can be answered.
    """

    def __init__(
        self,
        patience_seconds: float,
        *,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        """Nothing was asked yet."""
        self.canary: Tensor | None = None
        self.now = now
        self._patience, self._wait = patience_seconds, wait
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        self._over = threading.Event()
        self._end: OracleUnavailable | None = None

    def check(self) -> None:
        """Raises what ended it, where it has ended."""
        if self._end is not None:
            raise copy(self._end)  # each thread needs one of its own

    def sleep(self, seconds: float) -> None:
        """Wait so long. Raises what ended it as soon as it ends."""
        self.check()
        if seconds > 0 and self._wait(self._over, seconds):
            self.check()

    def end(self, error: OracleUnavailable) -> None:
        """Let nobody ask any more; who waits to ask gives up at once, for the same reason. The first one stays."""
        with self._lock:
            self._end = self._end or error
            self._over.set()

    def reopen(self) -> None:
        """Let others ask again, with fresh patience."""
        with self._lock:
            self._end, self._failing_since = None, None
            self._over.clear()

    def answered(self, images: Tensor) -> None:
        """Note that images (B, C, H, W) were answered."""
        self._failing_since = None
        if self.canary is None:
            self.canary = images[:1].clone()

    def failed(self, error: Exception) -> None:
        """Note a failure.

        Raises:
            OracleUnavailable: nothing but failures for too long; it has ended.
        """
        now = self.now()
        with self._lock:
            since = self._failing_since = now if self._failing_since is None else self._failing_since
        if now - since > self._patience:
            self.end(OracleUnavailable(f"nothing was answered for {now - since:.0f} seconds; at last: {error}"))
        self.check()
