"""A clock that only moves when somebody waits."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from oracles.remote.circuit_breaker import CircuitBreaker


@dataclass
class Clock:
    """Time for one thread.

    Attributes:
        time: now.
        waits: how long was waited each time.
    """

    time: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        """The time."""
        return self.time

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Pass the time."""
        self.waits.append(seconds)
        self.time += seconds
        return event.is_set()

    def breaker(self, patience_seconds: float = 300.0) -> CircuitBreaker:
        """A circuit breaker that keeps this time."""
        return CircuitBreaker(patience_seconds, now=self.now, wait=self.wait)
