"""Requests over gRPC: one connection for all threads, deadlines, limits, credentials. Nothing is sent twice here."""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Iterable
from typing import Any

from oracles.errors import AnswerError, OracleError, SpecError, Unanswered
from oracles.remote.authentication import Authentication
from oracles.remote.grpc.answers import reply
from oracles.remote.grpc.channel import needs, opened
from oracles.remote.grpc.questions import question
from oracles.remote.grpc.schema import SERVICE, parsed
from oracles.remote.grpc.statuses import outcome
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Reply, Request
from oracles.traffic import Traffic

_OF_HTTP = {"accept", "accept-encoding", "content-type", "content-encoding", "user-agent"}
"""Headers that say nothing to a server of gRPC, or that gRPC itself sets."""


_KEY = re.compile(r"[0-9a-z_.-]+")


class _Channel:
    """The channel in use; another one after it was cut."""

    def __init__(self, url: str, limits: ClientLimits, authentication: Authentication, unix_socket: str | None) -> None:
        self._given = (url, limits, authentication.secrets, unix_socket)
        self._lock = threading.Lock()
        self._open: Any = None
        self._methods: dict[str, Any] = {}

    def method(self, name: str) -> Any:
        """A function that asks a method, from bytes to bytes."""
        with self._lock:
            if self._open is None:
                self._open, self._methods = opened(*self._given), {}
            if name not in self._methods:
                self._methods[name] = self._open.unary_unary(f"/{SERVICE}/{name}")
            return self._methods[name]

    def close(self) -> None:
        """Drop the connection; calls under way end at once."""
        with self._lock:
            channel, self._open = self._open, None
        if channel is not None:
            channel.close()


class GrpcTransport:
    """Sends requests to one server, from any number of threads; replies come back in their form over HTTP.

    The proxy and the authorities whose certificates are trusted come from the environment, as over HTTP.

    Args:
        url: of the server: `grpc://` or `grpcs://`, the latter with TLS.
        limits: time-outs, limits, headers.
        unix_socket: path of the socket that is asked instead of host and port.

    Attributes:
        authentication: proves who asks.
        secrets: what must not get out.
        traffic: counts the bytes of messages.
        close: drops the connection.

    Raises:
        SpecError: settings that cannot work, a secret that is not there, or gRPC without its extra.
    """

    def __init__(self, url: str, limits: ClientLimits, *, unix_socket: str | None = None) -> None:
        """Look up secrets and prepare; the connection is opened when something is sent."""
        self._grpc = needs()
        _check_names(limits.headers)
        self.authentication = Authentication(url, limits)
        self.secrets, self.traffic, self._limits = self.authentication.secrets, Traffic(), limits
        self._seconds = min(limits.total_seconds, limits.write_seconds + limits.read_seconds)
        real, _ = self.authentication.address(url)
        self._channel = _Channel(real, limits, self.authentication, unix_socket)
        self._channel.method("ModelInfer")  # settings that cannot work are said now
        self.close = weakref.finalize(self, self._channel.close)  # at the latest when nobody holds this any more

    def send(self, request: Request) -> Reply:
        """Send one request.

        Returns:
            The reply, whatever its status; without secrets in its headers, and in its body unless it is a success.

        Raises:
            Unanswered: the request was never sent: no connection.
            AnswerLost: it was, and no whole reply came back.
            AnswerError: the reply is too large, or none of the protocol.
            OracleUnavailable: no request can succeed, such as where a certificate is not trusted.
        """
        generation = self.authentication.before()
        method, raw = question(request)
        try:
            answered = self._exchange(method, raw, request)
        except OracleError as error:
            raise self.secrets.clean(error) from None
        self.authentication.after(answered, generation, request.url)
        return answered

    def cut(self) -> None:
        """Break off whatever is under way."""
        self._channel.close()

    def _exchange(self, method: str, raw: bytes, request: Request) -> Reply:
        """Ask once; the reply as over HTTP."""
        started, received, took = time.monotonic(), b"", None
        try:
            received = self._channel.method(method)(raw, timeout=self._seconds, metadata=self._metadata(request))
            took = time.monotonic() - started
        except self._grpc.RpcError as error:
            return self._ended(error, request.url)
        except ValueError as error:  # the channel was closed before anything was sent
            raise Unanswered(f"{request.url} was not asked: {error}") from None
        finally:
            self.traffic.exchanged(len(raw), len(received), took)
        try:
            return reply(method, parsed(f"{method}Response", received))
        except ValueError as error:
            raise AnswerError(f"{request.url}: {error}") from None

    def _ended(self, error: Any, url: str) -> Reply:
        """The reply that a status code stands for."""
        found = outcome(
            error.code().name, error.details() or "", error.trailing_metadata() or (), url,
            most=self._limits.max_reply_bytes,
        )  # fmt: skip
        headers = {name: self.secrets.strike(value) for name, value in found.headers.items()}
        return Reply(found.status, headers, self.secrets.strike_bytes(found.body), found.phrase)

    def _metadata(self, request: Request) -> list[tuple[str, str]]:
        """What goes with a call: the credentials, under names in lower case."""
        url, found = self.authentication.address(request.url)
        bare = Request(request.method, url, self.authentication.headers(found))
        headers = self.authentication.signed(bare).headers
        named = {name.lower(): value for name, value in headers.items()}
        return [(name, value) for name, value in named.items() if name not in _OF_HTTP]


def _check_names(headers: Iterable[str]) -> None:
    """Refuse names of headers that cannot be those of metadata.

    Raises:
        SpecError: one with other characters, or kept for gRPC itself or for bytes.
    """
    for name in headers:
        if not _KEY.fullmatch(name.lower()) or name.lower().startswith("grpc-") or name.lower().endswith("-bin"):
            raise SpecError(
                f"headers.{name}: over gRPC a name holds letters, digits, '_', '-' and '.', does not begin with grpc- "
                "and does not end in -bin"
            )
