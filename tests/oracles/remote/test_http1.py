"""HTTP/1.1 as it is spoken here, held against httpcore's own: the same replies, and the same connections kept."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpcore
import pytest

from oracles.errors import OracleUnavailable
from oracles.remote.connections import Connections
from oracles.remote.http1 import Http1Connection, address
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Request
from oracles.remote.transport import Transport
from tests.oracles.remote.misbehaving import MisbehavingServer
from tests.oracles.remote.test_transport import always, echo
from tests.waiting import LONG

SECONDS = {"connect": LONG, "read": LONG, "write": LONG, "pool": LONG}
OK = b"HTTP/1.1 200 OK\r\n"
REPLIES = {
    "length": OK + b"Content-Length: 3\r\n\r\nabc",
    "nothing": OK + b"Content-Length: 0\r\n\r\n",
    "no phrase": b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc",
    "an error": b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\nTrailer: t\r\n\r\n",
    "chunks and length": OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "until the end": OK + b"\r\nabc",
    "of 1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "closes": OK + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc",
    "goes on first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
    + OK
    + b"Content-Length: 3\r\n\r\nabc",
    "bare line ends": b"HTTP/1.1 200 OK\nA: b\nContent-Length: 3\n\nabc",
    "many of a name": OK + b"A: b\r\na: c\r\nContent-Length: 0\r\n\r\n",
    "an empty header": OK + b"A:\r\nContent-Length: 0\r\n\r\n",
    "latin-1": OK + b"A: \xe9\r\nContent-Length: 0\r\n\r\n",
    "more behind": OK + b"Content-Length: 3\r\n\r\nabcdef",
    "one more behind": (OK + b"Content-Length: 3\r\n\r\nabc") * 2,
    "too short": OK + b"Content-Length: 9\r\n\r\nabc",
    "chunks that end": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "chunks of nonsense": OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n",
    "no head": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "no HTTP": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" * 4,
    "a strange length": OK + b"Content-Length: -3\r\n\r\nabc",
    "two lengths": OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a long head": OK + b"A: " + b"x" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
}
PIECES = (1, 7, 2**20)


@contextmanager
def raw_server(reply: bytes, piece: int) -> Iterator[tuple[str, list[bytes]]]:
    """Gives the same bytes to every request, in pieces, and ends the connection; and the heads that came."""
    listener, heads = socket.create_server(("127.0.0.1", 0)), list[bytes]()

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = b""
            while not head.endswith(b"\r\n\r\nbody"):
                if not (came := connection.recv(2**16)):
                    return
                head += came
            heads.append(head)
            for start in range(0, len(reply), piece):
                connection.sendall(reply[start : start + piece])

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/a?b=c", heads
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def opened(connections: Connections) -> Http1Connection:
    return Http1Connection(connections, ssl_context=None, keepalive_expiry=LONG, unix_socket=None, socket_options=[])


def said(pool: Http1Connection | httpcore.ConnectionPool, url: str) -> object:
    """Status, headers and body, or the kind of error."""
    given = {"headers": [("A", "b")], "content": b"body", "extensions": {"timeout": SECONDS}}
    try:
        with pool.stream("POST", url, **given) as response:  # type: ignore[arg-type]
            return response.status, list(response.headers), b"".join(response.iter_stream())
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        return type(error)


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_is_read_as_httpcore_reads_it(name: str) -> None:
    connections = Connections(join=True)
    for piece in PIECES if len(REPLIES[name]) < 10_000 else PIECES[-1:]:
        with raw_server(REPLIES[name], piece) as (url, heads):
            with httpcore.ConnectionPool() as other:
                wanted = said(other, url)
            pool = opened(connections)
            connections.begin(LONG)
            assert said(pool, url) == wanted
            pool.close()
            theirs, ours = (sorted(head.split(b"\r\n")) for head in heads)
            assert [line.lower() for line in ours] == [line.lower() for line in theirs]


def test_whoever_did_not_say_where_a_reply_ends_is_not_asked_again_on_its_connection() -> None:
    connections = Connections(join=True)
    for name, keeps in (("length", True), ("closes", False), ("of 1.0", False), ("one more behind", False)):
        with raw_server(REPLIES[name], 2**20) as (url, _):
            pool = opened(connections)
            connections.begin(LONG)
            said(pool, url)
            assert bool(pool.connections) is keeps, name
            pool.close()


def test_a_server_that_has_heard_enough_is_understood() -> None:
    """It refuses a body that it has not read, and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        connection, _ = listener.accept()
        connection.recv(2**10)
        connection.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(2**20):
            pass
        connection.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    transport = Transport(url, ClientLimits())
    reply = transport.send(Request("POST", url, {}, bytes(30_000_000)))
    assert (reply.status, reply.body) == (413, b"big")
    transport.close()
    thread.join(LONG)
    listener.close()


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("http://h/", "h", "/"),
        ("http://h:80", "h", "/"),
        ("https://h:443/a", "h", "/a"),
        ("https://h:80/a?b", "h:80", "/a?b"),
        ("http://[::1]:8000/a#f", "[::1]:8000", "/a"),
    ],
)
def test_an_address_is_taken_apart_as_httpcore_does(url: str, host: str, target: str) -> None:
    found, theirs = address(url), httpcore.URL(url)
    assert (found.host, found.target) == (host, target)
    assert found.origin[:2] == (theirs.scheme.decode(), theirs.host.decode().strip("[]"))
    assert found.origin[2] == theirs.origin.port


@pytest.mark.parametrize("header", [("A", "b\r\nC: d"), ("A", "b\0"), ("A b", "c"), ("A\n", "c")])
def test_no_header_becomes_two(server: MisbehavingServer, header: tuple[str, str]) -> None:
    server.misbehave = always(echo)
    with pytest.raises(OracleUnavailable, match="cannot be asked like this: Illegal header"):
        Transport(server.url, ClientLimits()).send(Request("POST", server.url, dict([header]), b"{}"))
    assert server.calls == 0
