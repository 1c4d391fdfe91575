"""Sockets that keep to the time of a whole exchange, are counted, and can be cut at once."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore

_PIECE = 2**18
"""Bytes handed to TLS at once: between two pieces the clock is looked at. A socket minds the clock itself."""

_HEAD_ENDS = b"\r\n\r\n"


@dataclass(slots=True)
class Exchange:
    """A request and its reply, under way in one thread.

    Attributes:
        until: clock by which it has to be over.
        sent: bytes written so far.
        received: bytes read so far.
    """

    until: float
    sent: int = 0
    received: int = 0

    def left(self, seconds: float | None, late: type[Exception]) -> float:
        """Seconds that the next step may take; raises `late` where no time is left."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise late("the time for the whole exchange is over")
        return left if seconds is None else min(seconds, left)


class Connections(httpcore.NetworkBackend):
    """Opens connections for the exchanges of any number of threads, one at a time in each.

    A time-out of a single read is no limit on a reply that drips, so each step gets what is left of the exchange.

    Args:
        join: the head of a request goes out with what follows it, as HTTP/1.1 allows: one call of the system for two.
    """

    def __init__(self, *, join: bool) -> None:
        """None is open."""
        self.join = join
        self._backend = httpcore.SyncBackend()
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._open = set[_Stream]()

    def begin(self, seconds: float) -> Exchange:
        """Assign what this thread reads and writes from now on to one exchange."""
        current = self._threads.current = Exchange(time.monotonic() + seconds)
        return current

    @property
    def current(self) -> Exchange:
        """The exchange that this thread began last."""
        exchange: Exchange = self._threads.current
        return exchange

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect."""
        left = self.current.left(timeout, httpcore.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(stream, self)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Connect to a server on this machine."""
        left = self.current.left(timeout, httpcore.ConnectTimeout)
        stream = self._backend.connect_unix_socket(path, left)
        return _Stream(stream, self)

    def cut(self) -> None:
        """Break off whatever is under way: reads and writes that wait, in any thread, fail at once."""
        with self._lock:
            streams = list(self._open)
        for stream in streams:
            stream.cut()

    def register(self, stream: _Stream) -> None:
        """Remember an open stream."""
        with self._lock:
            self._open.add(stream)

    def forget(self, stream: _Stream) -> None:
        """Forget it."""
        with self._lock:
            self._open.discard(stream)


class _Stream(httpcore.NetworkStream):
    """One connection."""

    def __init__(self, stream: httpcore.NetworkStream, connections: Connections) -> None:
        self._stream = stream
        self._socket = _own_socket(stream)
        self._connections = connections
        self._head = b""
        connections.register(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        exchange = self._connections.current
        left = exchange.left(timeout, httpcore.ReadTimeout)
        raw = self._stream.read(max_bytes, left) if self._socket is None else self._received(max_bytes, left)
        exchange.received += len(raw)
        return raw

    def _received(self, max_bytes: int, seconds: float) -> bytes:
        """What the socket gives, with httpcore's errors."""
        assert self._socket is not None
        try:
            return self._socket.within(seconds).recv(max_bytes)
        except _LATE as error:
            raise httpcore.ReadTimeout("timed out") from error
        except OSError as error:
            raise httpcore.ReadError(error) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._connections.join and not self._head and buffer.endswith(_HEAD_ENDS):
            self._head = buffer  # httpcore goes on with the body, or with nothing where there is none
            return
        head, self._head = self._head, b""
        exchange, place = self._connections.current, 0
        while place < len(head) + len(buffer):
            left = exchange.left(timeout, httpcore.WriteTimeout)
            if self._socket is None:
                sent = self._written(_from(place, head, buffer, _PIECE), left)
            else:
                sent = self._sent(_from(place, head, buffer), left)
            place += sent
            exchange.sent += sent

    def _written(self, parts: list[Any], seconds: float) -> int:  # httpcore names bytes, and takes any buffer
        """Write all of some bytes through TLS; how many they are."""
        piece = b"".join(parts) if len(parts) > 1 else parts[0]
        self._stream.write(piece, seconds)
        return len(piece)

    def _sent(self, parts: list[memoryview], seconds: float) -> int:
        """Hand bytes to the system: how many it took, all of them as a rule, with httpcore's errors."""
        assert self._socket is not None
        try:
            return self._socket.within(seconds).sendmsg(parts)
        except _LATE as error:
            raise httpcore.WriteTimeout("timed out") from error
        except OSError as error:
            raise httpcore.WriteError(error) from error

    def close(self) -> None:
        self._connections.forget(self)
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._connections.current.left(timeout, httpcore.ConnectTimeout)
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, left)
            return _Stream(stream, self._connections)
        finally:
            self._connections.forget(self)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def cut(self) -> None:
        # `shutdown` wakes whoever waits for the socket, `close` would not; of the class, so that TLS says no goodbye
        with suppress(OSError):
            socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)


def _from(place: int, head: bytes, body: bytes, most: int | None = None) -> list[memoryview]:
    """What is left of a head and the body behind it from a place on, up to a number of bytes, without copying any."""
    parts = [memoryview(head)[place:], memoryview(body)[max(0, place - len(head)) :][:most]]
    return [part for part in parts if part]


_LATE = (TimeoutError, BlockingIOError)


class _TimedSocket:
    """A socket whose waiting the system ends.

    Python's own time-outs take a call of the system more for each read and write, and each of these lets other threads
    go first.
    """

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._seconds: float | None = None
        raw.settimeout(None)

    def within(self, seconds: float) -> socket.socket:
        """The socket, which waits for so long from now on."""
        if seconds != self._seconds:
            whole = max(int(seconds * 1e6), 1)  # 0 would be for ever
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._raw.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", *divmod(whole, 1_000_000)))
            self._seconds = seconds
        return self._raw


def _own_socket(stream: httpcore.NetworkStream) -> _TimedSocket | None:
    """The socket of a stream without TLS, whose handshake is not to begin on it any more; None with TLS."""
    raw: socket.socket = stream.get_extra_info("socket")
    return None if stream.get_extra_info("ssl_object") is not None else _TimedSocket(raw)
