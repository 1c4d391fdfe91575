"""A server over real sockets that does wrong whatever servers do wrong, when it is told to."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPE = (1, 4, 4)
NORMAL = np.linspace(-1, 2, 16)
OFFSET = NORMAL.sum() / 2


def plane(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities (N, 2): 1 for the side of a plane on which each image lies."""
    positive = images.reshape(len(images), -1).astype(np.float64) @ NORMAL > OFFSET
    return np.stack([~positive, positive], 1).astype(np.float64)


_BOMB = gzip.compress(b" " * 10_000_000) * 10


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has arrived, and the ways of answering it.

    Attributes:
        server: that it came to.
        connection: that it came on.
        method: as in HTTP.
        path: as in HTTP.
        headers: names in lower case.
        body: as it came.
        fresh: whether it is the first on its connection.
    """

    server: MisbehavingServer
    connection: socket.socket
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    fresh: bool

    def question(self) -> dict[str, Any]:
        """What the body asks."""
        packed = self.headers.get("content-encoding") == "gzip"
        return dict(json.loads(gzip.decompress(self.body) if packed else self.body))

    def classify(self) -> dict[str, Any]:
        """The right answer. From here on the bill grows."""
        question = self.question()
        self.server.answered.update(question["ids"])
        scores = plane(np.array(question["images"], dtype=np.float32)).tolist()
        outputs = [{"id": name, "scores": row} for name, row in zip(question["ids"], scores, strict=True)]
        return {"id": question["id"], "model": self.server.model, "outputs": outputs}

    def reply(self, status: int = 200, body: bytes | dict[str, Any] = b"", **headers: str) -> None:
        """Send a whole reply."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.sendall(head(status, headers, content_length=len(raw)) + raw)

    def reset(self) -> None:
        """Break the connection so that the other side notices at once."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


Fault = Callable[[Call], None]
Misbehaviour = Callable[[Call], Fault | None]


def head(status: int, headers: dict[str, str], *, content_length: int | None) -> bytes:
    """The beginning of a reply; underscores in names of headers stand for hyphens."""
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if content_length is not None:
        lines.append(f"content-length: {content_length}")
    return "\r\n".join([*lines, "", ""]).encode()


@dataclass
class MisbehavingServer:
    """Answers `plane`, unless `misbehave` returns a fault for a call.

    Attributes:
        misbehave: looks at each call.
        model: what replies say of the model.
        answered: how often each image was classified, as whoever sends the bill would count.
        calls: requests that arrived.
        connections: connections that were made.
        port: where it listens.
        path: of the socket on which it listens in the place of a port.
        tls: with a certificate, None for plain HTTP.
    """

    misbehave: Misbehaviour = lambda call: None
    model: str = "1"
    answered: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    connections: int = 0
    port: int = 0
    path: str | None = None
    tls: ssl.SSLContext | None = None
    _open: set[socket.socket] = field(default_factory=set)
    _listener: socket.socket = field(default_factory=socket.socket)

    @property
    def url(self) -> str:
        """Where questions go."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/ask"

    @contextmanager
    def running(self) -> Iterator[MisbehavingServer]:
        """Serve while the block runs."""
        if self.path is not None:
            self._listener.close()
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.path)
        else:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", self.port))
            self.port = self._listener.getsockname()[1]
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            for each in (self._listener, *self._open):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                if self.path is None:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._open.add(connection)
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        fresh = True
        with suppress(OSError), connection if self.tls is None else self._secured(connection) as connection:
            while (call := self.receive(connection, fresh)) is not None:
                self.calls += 1
                fresh = False
                (self.misbehave(call) or behave)(call)
        self._open.discard(connection)

    def _secured(self, connection: socket.socket) -> socket.socket:
        assert self.tls is not None
        with suppress(OSError), connection:
            return self.tls.wrap_socket(connection, server_side=True)
        return connection

    def receive(self, connection: socket.socket, fresh: bool) -> Call | None:
        """The next request on a connection, None where it has ended."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            more = connection.recv(65536)
            if not more:
                return None
            raw += more
        top, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(body) < length:
            more = connection.recv(65536)
            if not more:
                return None
            body += more
        method, path, _ = first.split(" ")
        return Call(self, connection, method, path, headers, body, fresh)


def behave(call: Call) -> None:
    """The right answer."""
    call.reply(200, call.classify(), content_type="application/json")


def says(status: int, body: bytes = b"no", **headers: str) -> Fault:
    """A status, without classifying anything."""
    return lambda call: call.reply(status, body, **headers)


def too_many(seconds: float | None = None) -> Fault:
    """429, perhaps with the wish to be asked later."""
    return says(429) if seconds is None else says(429, retry_after=f"{seconds:g}")


def too_many_until(seconds: float) -> Fault:
    """429 with a date so many seconds ahead of the server's clock, which is wrong by an hour."""
    now = time.time() + 3600
    return says(429, date=formatdate(now, usegmt=True), retry_after=formatdate(now + seconds, usegmt=True))


def fails_and_dies(call: Call) -> None:
    """500 after classifying; whatever comes on the same connection afterwards is never answered."""
    call.classify()
    call.reply(500, b"Internal Server Error", content_type="text/plain")
    call.connection.recv(1)
    call.reset()


def resets_at_once(call: Call) -> None:
    """The connection breaks before anything is classified."""
    call.reset()


def resets_after_classifying(call: Call) -> None:
    """The connection breaks before the reply."""
    call.classify()
    call.reset()


def resets_in_the_body(call: Call) -> None:
    """The connection breaks in the middle of the reply."""
    raw = json.dumps(call.classify()).encode()
    call.connection.sendall(head(200, {}, content_length=len(raw)) + raw[: len(raw) // 2])
    call.reset()


def ends_in_the_body(call: Call) -> None:
    """The connection is closed properly in the middle of the reply."""
    raw = json.dumps(call.classify()).encode()
    call.connection.sendall(head(200, {}, content_length=len(raw)) + raw[: len(raw) // 2])
    call.connection.shutdown(socket.SHUT_RDWR)


def drips(call: Call) -> None:
    """The body comes byte by byte, each in time for a time-out of reads."""
    raw = json.dumps(call.classify()).encode()
    call.connection.sendall(head(200, {}, content_length=len(raw)))
    _drip(call, raw)


def drips_headers(call: Call) -> None:
    """The same before the body begins."""
    raw = json.dumps(call.classify()).encode()
    _drip(call, head(200, {"x_padding": "p" * 10_000}, content_length=len(raw)) + raw)


def is_silent(call: Call) -> None:
    """Classifies, and says nothing."""
    call.classify()
    waits(call)


def waits(call: Call) -> None:
    """Nothing, until the other side gives up."""
    call.connection.recv(1)


def half_a_json(call: Call) -> None:
    """A whole reply with half of the text."""
    raw = json.dumps(call.classify()).encode()
    call.reply(200, raw[: len(raw) // 2], content_type="application/json")


def altered(change: Callable[[dict[str, Any]], None]) -> Fault:
    """The right answer after a change."""

    def fault(call: Call) -> None:
        answer = call.classify()
        change(answer)
        call.reply(200, answer, content_type="application/json")

    return fault


def wrong_class_count(call: Call) -> None:
    """One score too many."""
    altered(lambda answer: answer["outputs"][-1]["scores"].append(0.0))(call)


def nan_scores(call: Call) -> None:
    """The bare token NaN, which is no JSON but is what servers send."""
    altered(lambda answer: answer["outputs"][-1].update(scores=[float("nan")] * 2))(call)


def null_scores(call: Call) -> None:
    """null in the place of numbers."""
    altered(lambda answer: answer["outputs"][-1].update(scores=[None, None]))(call)


def wrong_content_type(call: Call) -> None:
    """The right answer, called a picture."""
    call.reply(200, call.classify(), content_type="image/png")


def html_page(call: Call) -> None:
    """The page of a gateway, with 200."""
    call.classify()
    call.reply(200, b"<html><body>Please log in</body></html>", content_type="text/html")


def huge(call: Call) -> None:
    """A body of 100 MB without a length."""
    call.classify()
    call.connection.sendall(head(200, {"content_type": "application/json"}, content_length=None))
    for _ in range(1600):
        call.connection.sendall(b" " * 65536)


def bomb(call: Call) -> None:
    """100 MB of blanks, packed."""
    call.classify()
    call.reply(200, _BOMB, content_encoding="gzip", content_type="application/json")


def redirects_in_a_circle(call: Call) -> None:
    """To itself, again and again."""
    call.reply(307, b"", location=call.path)


def redirects_elsewhere(call: Call) -> None:
    """To another host."""
    call.reply(307, b"", location="http://127.0.0.2:9/elsewhere")


def duplicated_outputs(call: Call) -> None:
    """The first output twice, in the place of the last."""
    altered(lambda answer: answer["outputs"].__setitem__(-1, dict(answer["outputs"][0])))(call)


def reordered_outputs(call: Call) -> None:
    """The outputs in another order than the images."""
    altered(lambda answer: answer["outputs"].reverse())(call)


def another_answer(call: Call) -> None:
    """The reply to a question that somebody else has asked."""
    altered(lambda answer: answer.update(id="another"))(call)


def _drip(call: Call, raw: bytes) -> None:
    for number in range(len(raw)):
        call.connection.sendall(raw[number : number + 1])
        time.sleep(0.05)
