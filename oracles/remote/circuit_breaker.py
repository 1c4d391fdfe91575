"""A circuit breaker: it opens where one server keeps failing, and from then on nobody asks it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING

from oracles.errors import OracleUnavailable

if TYPE_CHECKING:
    from torch import Tensor


class CircuitBreaker:
    """Shared by all threads that ask one server. Once it has tripped, nobody asks any more until it is reset.

    Args:
        patience_seconds: of failure without a single answer in between, after which it trips.
        now: a clock.
        wait: waits for an event, at most a number of seconds; returns whether it came.

    Attributes:
        known_good: (1, C, H, W) the first image that was answered, None before: a question that can be answered.
        refused: images that were refused before any was answered.
        last_failure: since the last answer, None where there was none.
    """

    def __init__(
        self,
        patience_seconds: float,
        *,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        """Nothing was asked yet."""
        self.known_good: Tensor | None = None
        self.now = now
        self._patience, self._wait = patience_seconds, wait
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        self._tripped = threading.Event()
        self._reason: OracleUnavailable | None = None
        self.last_failure: Exception | None = None
        self.refused = 0

    def check(self) -> None:
        """Raise the reason for which it tripped, if it has."""
        if self._reason is not None:
            raise copy(self._reason)  # each thread needs one of its own

    def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds. Raises the reason as soon as it trips."""
        self.check()
        if seconds > 0 and self._wait(self._tripped, seconds):
            self.check()

    def trip(self, reason: OracleUnavailable) -> None:
        """Let nobody ask any more; whoever waits to ask gives up at once. The first reason stays."""
        with self._lock:
            self._reason = self._reason or reason
            self._tripped.set()

    def reset(self) -> None:
        """Let others ask again, with fresh patience."""
        with self._lock:
            self._reason, self._failing_since = None, None
            self._tripped.clear()

    @property
    def patience_left(self) -> float:
        """Seconds of failure until it trips."""
        since = self._failing_since
        return self._patience if since is None else max(0.0, self._patience - (self.now() - since))

    def answered(self, images: Tensor) -> None:
        """Note that images (B, C, H, W) were answered."""
        self._failing_since, self.last_failure = None, None
        if self.known_good is None:
            self.known_good = images[:1].clone()

    def failed(self, error: Exception) -> None:
        """Note a failure.

        Raises:
            OracleUnavailable: nothing but failures for too long; it has tripped.
        """
        now, self.last_failure = self.now(), error
        with self._lock:
            since = self._failing_since = now if self._failing_since is None else self._failing_since
        if now - since >= self._patience:
            self.trip(OracleUnavailable(f"nothing was answered for {now - since:.0f} seconds; at last: {error}"))
        self.check()
