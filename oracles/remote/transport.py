"""Requests over HTTP: connections that are kept, time-outs, size limits, credentials. Nothing is sent twice here."""

from __future__ import annotations

import gzip
import json
import time
import weakref
from dataclasses import replace
from functools import partial
from urllib.parse import quote_plus, urljoin, urlsplit

import httpcore

from oracles.errors import AnswerError, OracleError, OracleUnavailable
from oracles.remote.authentication import Authentication, Signer
from oracles.remote.bodies import beginning, whole
from oracles.remote.connections import Connections
from oracles.remote.failures import of_exception, presentable
from oracles.remote.http1 import Http1Connection, Response
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Reply, Request
from oracles.remote.polling import SUCCESSES
from oracles.remote.pools import Pools
from oracles.remote.secrets import STRUCK, placeholders, refuse_credentials
from oracles.remote.surroundings import http2_is_there, keep_headers_out_of_logs, keepalive, proxy, trust
from oracles.traffic import Traffic

_IDLE_SECONDS = 2.0
"""An idle connection is dropped after so long: servers drop theirs too, and a request lost just then is paid for."""

_MOST_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_ERROR_BYTES = 2**16
_FORM = "x-www-form-urlencoded"
_SHOWN = 200
_BROKEN = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError)


class Transport:
    """Sends requests to one server, from any number of threads.

    Proxies come from the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY), as do the authorities whose
    certificates are trusted (SSL_CERT_FILE, SSL_CERT_DIR). Certificates are always verified.

    Args:
        url: of the server, by which the proxy is chosen; may hold placeholders for secrets.
        limits: time-outs, limits, headers.
        sign: signs each request, None for no signature.
        unix_socket: path of the socket that is asked instead of host and port.

    Attributes:
        authentication: proves who asks.
        secrets: what must not get out.
        traffic: counts what goes over the wire.
        close: drops the connections.

    Raises:
        SpecError: settings that cannot work, a secret that is not there, or HTTP/2 without its extra.
    """

    def __init__(
        self, url: str, limits: ClientLimits, sign: Signer | None = None, *, unix_socket: str | None = None
    ) -> None:
        """Look up secrets and prepare; connections are opened when something is sent."""
        keep_headers_out_of_logs()
        self.authentication = Authentication(url, limits, sign)
        self.secrets, self.traffic, self._terms = self.authentication.secrets, Traffic(), limits
        http2 = (limits.http2 or limits.h2c) and http2_is_there(url, limits)
        self._connections = Connections(join=not http2)
        self._timeouts = {
            "connect": limits.connect_seconds,
            "read": limits.read_seconds,
            "write": limits.write_seconds,
            "pool": limits.connect_seconds,
        }
        context, options = trust(url, limits), keepalive(limits.keepalive_seconds)
        by = None if unix_socket else proxy(url, self.secrets)
        direct = partial(
            Http1Connection,
            self._connections,
            ssl_context=context,
            keepalive_expiry=_IDLE_SECONDS,
            unix_socket=unix_socket,
            socket_options=options,
        )
        by_httpcore = partial(
            httpcore.ConnectionPool,
            ssl_context=context,
            proxy=by,
            keepalive_expiry=_IDLE_SECONDS,
            http1=not limits.h2c,
            http2=http2,
            uds=unix_socket,
            socket_options=options,
            network_backend=self._connections,
        )
        self._pools = Pools(by_httpcore if http2 or by is not None else direct)
        self.close = weakref.finalize(self, self._pools.close)  # at the latest when nobody holds this any more

    def send(self, request: Request) -> Reply:
        """Send one request. Redirects of a GET within the server are followed.

        Those of a question are not: each would be a request that nobody has charged, with all its images sent twice.

        Returns:
            The reply, whatever its status; without secrets in its headers, and in its body unless it is a success.

        Raises:
            Unanswered: the request was never sent: no connection.
            AnswerLost: it was, and no whole reply came back.
            AnswerError: the reply is too large, or packed in an unknown way.
            OracleUnavailable: redirects that are not followed, a certificate that is not trusted.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            reply = self._exchange(request)
            if reply.status not in _REDIRECTS or "location" not in reply.headers:
                return reply
            request = _redirected(request, reply)
        raise OracleUnavailable(f"{request.url}: more than {_MOST_REDIRECTS} redirects; name the address that answers")

    def cut(self) -> None:
        """Break off whatever is under way."""
        self._connections.cut()

    def _exchange(self, request: Request) -> Reply:
        """Send a request and read its reply, once."""
        started, took = time.monotonic(), None
        generation = self.authentication.before()
        url, prepared = self._prepare(request)
        exchange, pool = self._connections.begin(self._terms.total_seconds), self._pools.take()
        try:
            with pool.stream(
                prepared.method,
                url,
                headers=list(prepared.headers.items()),
                content=prepared.body,
                extensions={"timeout": self._timeouts},
            ) as response:
                reply = self._read(response)
            took = time.monotonic() - started
            self.authentication.after(reply, generation, request.url)
            return reply
        except _BROKEN as error:
            failure: OracleError = of_exception(error, request.url, h2c=self._terms.h2c)
        except AnswerError as error:
            failure = AnswerError(f"{request.url}: {error}")
        finally:
            self._pools.give_back(pool)
            self.traffic.exchanged(exchange.sent, exchange.received, took)
        raise self.secrets.clean(failure)

    def _prepare(self, request: Request) -> tuple[str, Request]:
        """The real address, and the request with credentials, packed and signed as it goes out."""
        url, headers = self.authentication.address(request.url)
        request = self._with_secrets(request)
        body, given = request.body, request.headers
        if self._terms.gzip and body:
            body, given = gzip.compress(body, compresslevel=1, mtime=0), {**given, "Content-Encoding": "gzip"}
        merged = self.authentication.headers(given, headers)
        return url, self.authentication.signed(Request(request.method, request.url, merged, body, request.identifier))

    def _with_secrets(self, request: Request) -> Request:
        """The request with the secrets that belong into its body, as JSON has texts where that is what it is.

        Raises:
            SpecError: a secret is not there.
        """
        if not request.secrets:
            return request
        body = request.body
        media = request.headers.get("Content-Type", "")
        for mark, template in request.secrets.items():
            value = self.secrets.fill(template, place="the body").reveal()
            written = json.dumps(value)[1:-1] if "json" in media else quote_plus(value) if _FORM in media else value
            body = body.replace(mark.encode(), written.encode())
        return replace(request, body=body, secrets={})

    def _read(self, response: httpcore.Response | Response) -> Reply:
        """The reply. A connection on which something went wrong is not used again."""
        headers: dict[str, str] = {}
        for raw, value in response.headers:
            name, text = raw.decode("latin-1").lower(), self.secrets.strike(value.decode("latin-1"))
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        chunks, encoding = response.iter_stream(), headers.get("content-encoding", "").strip().lower()
        if response.status in SUCCESSES:
            return Reply(response.status, headers, whole(chunks, encoding, most=self._terms.max_reply_bytes))
        body = beginning(chunks, encoding, most=_ERROR_BYTES)
        if response.status >= 500 and response.extensions["http_version"] != b"HTTP/2":
            response.extensions["network_stream"].close()  # servers close it too, but do not always say so
        return Reply(response.status, headers, self.secrets.strike_bytes(body))


def _joined(url: str, location: str) -> str:
    """Return the URL that a redirect leads to.

    Raises:
        OracleUnavailable: to no address, to one with a token, or with a placeholder: a server could have any variable
            and private file filled in.
    """
    try:
        joined = urljoin(url, location)
        refuse_credentials(joined)
        fine = placeholders(joined) <= placeholders(url) and joined.isascii() and " " not in joined
    except ValueError:
        fine = False
    if not fine:
        shown = presentable(location.partition("?")[0])[:_SHOWN]
        raise OracleUnavailable(f"{url} redirects to {shown}, which cannot be followed; name the address that answers")
    return joined


def _redirected(request: Request, reply: Reply) -> Request:
    """The request for another address of the same server.

    Raises:
        OracleUnavailable: it is another server, or a question.
    """
    location = reply.headers["location"]
    url = _joined(request.url, location)
    shown = presentable(url)[:_SHOWN]
    if STRUCK in location or urlsplit(url)[:2] != urlsplit(request.url)[:2]:
        raise OracleUnavailable(
            f"{request.url} redirects to another server ({shown}), which is refused; if you trust it, name its address"
        )
    if request.method != "GET":
        raise OracleUnavailable(f"{request.url} redirects to {shown}; name that address")
    return replace(request, url=url)
