"""A server process: one socket, until it is told to end, and then no answer lost."""

from __future__ import annotations

import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from bbsmooth.errors import UsageError

GRACE_SECONDS = 30
"""How long requests under way may take once the server is told to end."""

KEPT_SECONDS = 75
"""How long an idle connection stays open: longer than clients and proxies keep theirs, most of them up to 60 seconds.

What is sent on a connection that the server closes just then is lost, and nobody can tell whether it was answered.
"""


_MOST_FILES = 65_536


def bind(host: str, port: int) -> socket.socket:
    """A socket at that address; nobody can connect before it listens.

    Args:
        host: name or number of an address of this machine.
        port: 0 for any free one.

    Raises:
        UsageError: it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error}; name another `host` or `port`") from error
    return bound


def open_files() -> int:
    """Number of files and connections that this process may have open, after raising it as far as is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST_FILES if soft == resource.RLIM_INFINITY else soft
    with suppress(OSError, ValueError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def prepare(
    app: FastAPI, *, grace: int = GRACE_SECONDS, certificate: Path | None = None, key: Path | None = None
) -> uvicorn.Server:
    """A server for the application, which says nothing of its own and ends gracefully, within `grace` seconds.

    Connections take half of the files that may be open; one more is told to come again (503) and closed. Without that
    limit nothing could be accepted any more, and the ledgers could not be opened.

    Args:
        app: answers.
        grace: seconds that requests under way may take at the end.
        certificate: PEM file of the server's certificates, with which it speaks HTTPS; None for HTTP.
        key: PEM file of the private key.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",  # which limits the length of headers, as httptools does not
            log_config=None,
            access_log=False,
            ws="none",
            lifespan="on",
            timeout_keep_alive=KEPT_SECONDS,
            timeout_graceful_shutdown=grace,
            limit_concurrency=open_files() // 2,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    )


def run(server: uvicorn.Server, listening: socket.socket) -> bool:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way; a second Ctrl-C cuts that short.

    Args:
        server: from `prepare`.
        listening: from `bind`; closed at the end.

    Returns:
        Whether everything under way was finished.
    """
    with suppress(KeyboardInterrupt), _interrupted_by_sigterm():  # the signal that ended it, raised once more
        server.run(sockets=[listening])
    return not server.force_exit


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Have SIGTERM raise what Ctrl-C does, unless the program has a handler of its own: the default one kills it."""
    unhandled = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not unhandled or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
