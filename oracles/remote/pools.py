"""Connections that are kept for the next request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpcore

    from oracles.remote.http1 import Http1Connection

    Pool = httpcore.ConnectionPool | Http1Connection


class Pools:
    """One pool of connections for each request under way, the one used last first.

    httpcore's pool looks at all of its connections before and after each request, which takes longer than the request
    where there are 32 of them; here each pool has one. That holds for HTTP/2, too: it could carry all requests over one
    connection, but its TLS would then be read by one thread while another writes, which Python's does not bear.

    Args:
        open_pool: makes a pool.
    """

    def __init__(self, open_pool: Callable[[], Pool]) -> None:
        """Nothing is open."""
        self._open_pool = open_pool
        self._idle: list[Pool] = []  # its methods are atomic
        self._all: list[Pool] = []

    def take(self) -> Pool:
        """A pool for one request."""
        try:
            return self._idle.pop()
        except IndexError:
            pool = self._open_pool()
            self._all.append(pool)
            return pool

    def give_back(self, pool: Pool) -> None:
        """Keep a pool for the next request. What a server sends behind a reply is never the reply to the next one."""
        for connection in pool.connections:
            if _said_more(connection):
                connection.close()
        self._idle.append(pool)

    def close(self) -> None:
        """Drop all connections."""
        for pool in self._all:
            pool.close()


def _said_more(connection: object) -> bool:
    """True if bytes came behind the end of HTTP/1.1's last reply. httpcore would take them for the next reply."""
    while connection is not None:
        if (state := getattr(connection, "_h11_state", None)) is not None:
            return bool(state.trailing_data[0])
        connection = getattr(connection, "_connection", None)  # that of a proxy or an origin wraps another one
    return False
