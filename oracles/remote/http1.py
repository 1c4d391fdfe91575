"""HTTP/1.1 over one kept connection, parsed by llhttp (httptools): the way of most requests.

httpcore's own connection parses in Python, passes each request through five layers and takes three times as long as the
sockets themselves. It stays the way to proxies and of HTTP/2, and what connects here; errors are its own, too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httptools

from oracles.remote.connections import Connections

_READ_BYTES = 2**16
_SHOWN = 60
_MOST_HEAD_BYTES = 100 * 1024
_REMEMBERED = 64
_PORTS = {"http": 80, "https": 443}
_LENIENT = {
    "lenient_headers": True,
    "lenient_chunked_length": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
}
"""What servers do though RFC 9112 says otherwise, and clients bear."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes.

    Attributes:
        origin: scheme, host and port, by which connections differ.
        target: path and query.
        host: value of the header `Host`.
    """

    origin: tuple[str, str, int]
    target: str
    host: str


@dataclass(frozen=True, slots=True)
class Response:
    """A reply whose head is there; the same attributes as httpcore's.

    Attributes:
        status: as the server says.
        headers: names and values, in their order.
        iter_stream: reads the body.
        extensions: the version of HTTP, and the stream.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    iter_stream: Callable[[], Iterator[bytes]]
    extensions: Mapping[str, Any]


class Http1Connection:
    """At most one connection, to whichever server was asked last, for one request at a time.

    Args:
        connections: opens it.
        ssl_context: of https.
        keepalive_expiry: seconds after which an idle one is dropped.
        unix_socket: path of the socket that is asked instead of host and port.
        socket_options: of a socket that connects.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        ssl_context: Any,
        keepalive_expiry: float,
        unix_socket: str | None,
        socket_options: Iterable[Any],
    ) -> None:
        """Nothing is open."""
        self._backend, self._ssl_context = connections, ssl_context
        self._keepalive_expiry, self._unix_socket = keepalive_expiry, unix_socket
        self._socket_options = list(socket_options)
        self._stream: httpcore.NetworkStream | None = None
        self._origin: tuple[str, str, int] | None = None
        self._received = _Received()
        self._expires = 0.0

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: list[tuple[str, str]],
        content: bytes,
        extensions: Mapping[str, Any],
    ) -> Iterator[Response]:
        """Send a request, give its reply inside the block, and keep the connection if nothing stands against it.

        Raises:
            httpcore.ConnectError, ReadError, WriteError, RemoteProtocolError, LocalProtocolError: as httpcore does;
                time-outs likewise.
        """
        to, timeout = address(url), extensions["timeout"]
        head = b"%sContent-Length: %d\r\n\r\n" % (_head(method, to, tuple(headers)), len(content))
        stream = self._connected(to.origin, timeout)
        received = self._received
        received.begin()
        try:
            kept = self._send(stream, head, content, timeout)
            while not received.has_head:
                self._more(stream, received, timeout)
            yield Response(
                received.status,
                received.headers,
                lambda: self._body(stream, received, timeout),
                {"http_version": b"HTTP/1.1", "network_stream": stream},
            )
        except BaseException:
            self.close()
            raise
        if not (kept and received.complete and received.keeps_alive and not received.said_more):
            self.close()
        self._expires = time.monotonic() + self._keepalive_expiry

    @property
    def connections(self) -> list[Http1Connection]:
        """Itself while it is open, as a pool lists what is open."""
        return [] if self._stream is None else [self]

    def has_expired(self) -> bool:
        """True if it is not to be used again: idle for too long, or the server has closed it, or said more."""
        if self._stream is None:
            return False
        return time.monotonic() > self._expires or bool(self._stream.get_extra_info("is_readable"))

    def close(self) -> None:
        """Drop the connection."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _connected(self, origin: tuple[str, str, int], timeout: Mapping[str, float]) -> httpcore.NetworkStream:
        if self._stream is not None and (origin != self._origin or self.has_expired()):
            self.close()
        if self._stream is None:
            self._stream, self._origin = self._connect(origin, timeout["connect"]), origin
            self._received = _Received()
        return self._stream

    def _connect(self, origin: tuple[str, str, int], seconds: float) -> httpcore.NetworkStream:
        scheme, host, port = origin
        if self._unix_socket is None:
            stream = self._backend.connect_tcp(host, port, seconds, socket_options=self._socket_options)
        else:
            stream = self._backend.connect_unix_socket(self._unix_socket, seconds)
        if scheme == "http":
            return stream
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        return stream.start_tls(self._ssl_context, server_hostname=host, timeout=seconds)

    @staticmethod
    def _send(stream: httpcore.NetworkStream, head: bytes, content: bytes, timeout: Mapping[str, float]) -> bool:
        """Write a request; False where the server took no more of it: it may have said why, and then closed."""
        try:
            stream.write(head, timeout["write"])
            stream.write(content, timeout["write"])
        except httpcore.WriteError:
            return False
        return True

    @staticmethod
    def _more(stream: httpcore.NetworkStream, received: _Received, timeout: Mapping[str, float]) -> None:
        raw = stream.read(_READ_BYTES, timeout["read"])
        if raw:
            received.feed(raw)
        else:
            received.end()

    def _body(
        self, stream: httpcore.NetworkStream, received: _Received, timeout: Mapping[str, float]
    ) -> Iterator[bytes]:
        while True:
            chunks, received.chunks = received.chunks, []
            yield from chunks
            if received.complete:
                return
            self._more(stream, received, timeout)


class _Received:
    """What has come of one reply on a connection; llhttp calls it back."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_LENIENT)
        self.begin()

    def begin(self) -> None:
        """Nothing has come of the next reply."""
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.status = self._bytes = self._body_bytes = 0
        self.has_head = self.complete = self.keeps_alive = self.said_more = False

    def feed(self, raw: bytes) -> None:
        """Take in bytes.

        Raises:
            httpcore.RemoteProtocolError: they are no reply.
        """
        try:
            self._parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            self.said_more = True
        except httptools.HttpParserError as error:
            self.said_more = True  # behind the reply, where it is complete
            if not self.complete:
                raise httpcore.RemoteProtocolError(self._explained(error, raw)) from None
        self._bytes += 0 if self.has_head else len(raw)
        if self._bytes > _MOST_HEAD_BYTES:
            raise httpcore.RemoteProtocolError("Receive buffer too long")

    def _explained(self, error: Exception, raw: bytes) -> str:
        if not self.status and not self._bytes and not raw.startswith(b"HTTP/"):
            return f"illegal status line: {raw[:_SHOWN]!r}"
        return str(error)

    def end(self) -> None:
        """Take in that nothing more comes.

        Raises:
            httpcore.RemoteProtocolError: the reply is not complete.
        """
        if not self.has_head:
            raise httpcore.RemoteProtocolError("Server disconnected without sending a response.")
        framing = {name.lower(): value for name, value in self.headers}
        chunked = framing.get(b"transfer-encoding", b"").lower().endswith(b"chunked")
        length = framing.get(b"content-length")
        if chunked or length is not None:
            left = (
                "incomplete chunked read"
                if chunked
                else f"received {self._body_bytes} bytes, expected {int(length or 0)}"
            )
            raise httpcore.RemoteProtocolError(f"peer closed connection without sending complete message body ({left})")
        self.complete = True

    def on_message_begin(self) -> None:
        self.said_more = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.has_head, self.status = True, self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.chunks.append(body)
            self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        if 100 <= self.status < 200 and self.status != 101:  # the reply itself is still to come
            self.has_head, self.headers = False, []
        elif not self.complete:
            self.complete, self.keeps_alive = True, self._parser.should_keep_alive()


@lru_cache(_REMEMBERED)
def address(url: str) -> Address:
    """The parts of a URL that matter to a connection."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    named = f"[{host}]" if ":" in host else host
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address((parts.scheme, host, port), target, named if port == _PORTS[parts.scheme] else f"{named}:{port}")


@lru_cache(_REMEMBERED)
def _head(method: str, to: Address, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The head of a request up to its length.

    Raises:
        httpcore.LocalProtocolError: a header cannot be sent.
    """
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    for (name, _), line in zip(headers, lines, strict=True):
        if not _HEADER.fullmatch(line):
            raise httpcore.LocalProtocolError(f"Illegal header {name!r}")
    host = "" if any(name.lower() == "host" for name, _ in headers) else f"Host: {to.host}\r\n"
    return f"{method} {to.target} HTTP/1.1\r\n{host}{''.join(lines)}".encode("latin-1")
