"""One thread at a time does the work around requests: the interpreter runs no more than one anyway.

Where eight threads have something to do, each of the dozens of calls of a request that let the interpreter go hands it
to another thread, and waits to get it back: some thirty switches a request, which took as long as half of its work. So
a thread that has its turn keeps the others waiting until it waits for the network itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turn:
    """What one thread has at a time."""

    def __init__(self) -> None:
        """Nobody has it."""
        self._lock = threading.Lock()
        self._threads = threading.local()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have it, as soon as nobody else does."""
        with self._lock:
            self._threads.has_it = True
            try:
                yield
            finally:
                self._threads.has_it = False

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """Let others have it meanwhile, if this thread has it."""
        if not getattr(self._threads, "has_it", False):
            yield
            return
        self._threads.has_it = False
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
            self._threads.has_it = True


TURN = Turn()
"""Of this process, as its interpreter is."""
