"""Connections that are kept for the next request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpcore


class Pools:
    """One pool of connections for each request under way, the one used last first.

    httpcore's pool looks at all of its connections before and after each request, which takes longer than the request
    where there are 32 of them; here each pool has one. With HTTP/2, which carries all requests over one connection, all
    share one pool.

    Args:
        open_pool: makes a pool.
        shared: whether one is enough.
    """

    def __init__(self, open_pool: Callable[[], httpcore.ConnectionPool], *, shared: bool) -> None:
        """Nothing is open."""
        self._open_pool = open_pool
        self._idle: list[httpcore.ConnectionPool] = []  # its methods are atomic
        self._all: list[httpcore.ConnectionPool] = []
        self._shared = self._opened() if shared else None

    @contextmanager
    def pool(self) -> Iterator[httpcore.ConnectionPool]:
        """A pool for one request."""
        if self._shared is not None:
            yield self._shared
            return
        try:
            pool = self._idle.pop()
        except IndexError:
            pool = self._opened()
        try:
            yield pool
        finally:
            self._idle.append(pool)

    def close(self) -> None:
        """Drop all connections."""
        for pool in self._all:
            pool.close()

    def _opened(self) -> httpcore.ConnectionPool:
        pool = self._open_pool()
        self._all.append(pool)
        return pool
