"""A hand-off lock: one thread at a time does the work around requests, as the interpreter runs no more than one anyway.

Where eight threads have something to do, each of the dozens of calls of a request that let the interpreter go hands it
to another thread, and waits to get it back: some thirty switches a request, which took as long as half of its work. So
a thread that holds the lock keeps the others waiting until it waits for the network itself. Requests that go over
sockets of our own have few such calls, and do without.
"""

from __future__ import annotations

import threading
from types import TracebackType


class HandOffLock:
    """Held by one thread at a time, and handed to another whenever its holder waits."""

    def __init__(self) -> None:
        """Nobody holds it."""
        self.lock = threading.Lock()
        self.threads = threading.local()

    def held(self) -> _Held:
        """Hold it inside the block, as soon as nobody else does."""
        return _Held(self)

    def released(self) -> _Released:
        """Let others hold it inside the block, if this thread does."""
        return _Released(self)


class _Held:
    """A block in which this thread holds the lock. As a class: a generator would take longer than what it does."""

    __slots__ = ("_of",)

    def __init__(self, of: HandOffLock) -> None:
        self._of = of

    def __enter__(self) -> None:
        self._of.lock.acquire()
        self._of.threads.holds_it = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._of.threads.holds_it = False
        self._of.lock.release()


class _Released:
    """A block in which this thread does not hold the lock, whether or not it did before."""

    __slots__ = ("_did", "_of")

    def __init__(self, of: HandOffLock) -> None:
        self._of, self._did = of, False

    def __enter__(self) -> None:
        if getattr(self._of.threads, "holds_it", False):
            self._did, self._of.threads.holds_it = True, False
            self._of.lock.release()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._did:
            self._of.lock.acquire()
            self._of.threads.holds_it = True


HAND_OFF = HandOffLock()
"""Of this process, as its interpreter is."""
