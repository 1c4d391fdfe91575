"""A hand-off lock: one thread at a time does the work around requests, as the interpreter runs no more than one anyway.

Where eight threads have something to do, each of the dozens of calls of a request that let the interpreter go hands it
to another thread, and waits to get it back: some thirty switches a request, which took as long as half of its work. So
a thread that holds the lock keeps the others waiting until it waits for the network itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class HandOffLock:
    """Held by one thread at a time, and handed to another whenever its holder waits."""

    def __init__(self) -> None:
        """Nobody holds it."""
        self._lock = threading.Lock()
        self._threads = threading.local()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it inside the block, as soon as nobody else does."""
        with self._lock:
            self._threads.holds_it = True
            try:
                yield
            finally:
                self._threads.holds_it = False

    @contextmanager
    def released(self) -> Iterator[None]:
        """Let others hold it inside the block, if this thread does."""
        if not getattr(self._threads, "holds_it", False):
            yield
            return
        self._threads.holds_it = False
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
            self._threads.holds_it = True


HAND_OFF = HandOffLock()
"""Of this process, as its interpreter is."""
