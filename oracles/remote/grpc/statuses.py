"""Meaning of a call that ends without an answer: as over HTTP, where it has a status, else a broken connection."""

from __future__ import annotations

import re
from collections.abc import Iterable

from oracles.errors import AnswerError, AnswerLate, AnswerLost, OracleError, OracleUnavailable, Unanswered
from oracles.remote.failures import presentable
from oracles.remote.messages import Reply

_HTTP = {
    "CANCELLED": 408,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""Status codes by the statuses of HTTP that mean the same (google/rpc/code.proto)."""

_DETAILS = "grpc-status-details-bin"
_TOO_LARGE = "message larger than max"
_OUR_LIMIT = "CLIENT: Received"
_NEVER_SENT = re.compile(r"failed to connect to all addresses|errors resolving|resolution failed|[Ee]mpty address list")
_HTTP1 = "http1.x server"
_UNTRUSTED = re.compile(r"certificate.verify.failed|Hostname Verification Check failed|[Pp]eer name .* is not in", re.I)
_ENDED = re.compile(r"Socket closed|reset by peer|[Hh]andshake")
_PROXY = re.compile(r"Received http2 :?(?:status )?header with (?:non-200 OK )?status: (?P<status>[1-5][0-9]{2})")
_BROKEN = re.compile(
    r"Stream removed|recvmsg|sendmsg|[Ss]ocket closed|[Cc]onnection (reset|refused|aborted|timed out)|Broken pipe"
    r"|GOAWAY|[Kk]eepalive|ping timeout|Cancelling all calls|[Cc]hannel closed|RST_STREAM"
    r"|[Tt]ransport (closed|is closing)|Stream refused|[Ee]ndpoint (closed|closing)|\bEOF\b"
)
"""What gRPC itself says of a call whose connection broke. A server that uses such words is taken for a broken one:
then a question stays charged that might be refunded, and never the other way round."""


def outcome(code: str, details: str, trailers: Iterable[tuple[str, str | bytes]], url: str, *, most: int) -> Reply:
    """The reply over HTTP that says the same as a status code.

    Args:
        code: its name.
        details: what the server says, or gRPC itself.
        trailers: metadata behind the reply.
        url: that was asked, without secrets.
        most: bytes that a reply may have.

    Raises:
        Unanswered: the question was never sent.
        AnswerLost: it may have been answered, and no answer arrived.
        AnswerError: the reply is too large.
        OracleUnavailable: no question can succeed.
    """
    said = presentable(details)
    if code == "UNAVAILABLE" and _NEVER_SENT.search(details):
        raise _unreached(said, url)
    if found := _PROXY.search(details):
        return Reply(int(found["status"]), _headers(trailers), details.encode())
    if _TOO_LARGE in details:
        if _OUR_LIMIT in details:
            raise AnswerError(f"{url}: the reply is larger than the {most:,} bytes that are allowed")
        return Reply(413, _headers(trailers), details.encode(), code)
    if code == "DEADLINE_EXCEEDED":
        raise AnswerLate(f"{url} did not answer in time: {said}")
    if _BROKEN.search(details):
        raise AnswerLost(f"{url}: the connection broke before the answer was there: {said}")
    return Reply(_HTTP.get(code, 500), _headers(trailers), details.encode(), code)


def _unreached(said: str, url: str) -> OracleError:
    """Error of a connection that was never there."""
    if _HTTP1 in said:
        return OracleUnavailable(
            f"{url}: the server speaks HTTP/1.1 at this port, not gRPC; name its port for gRPC, or its address as "
            "kserve+http://HOST:PORT/v2/models/NAME"
        )
    if _UNTRUSTED.search(said):
        return OracleUnavailable(
            f"{url}: the server's certificate is not trusted, or for another host ({said}); if it is issued by an "
            "authority of your own, name its file in the environment variable SSL_CERT_FILE"
        )
    asks = url.startswith("grpcs:") and _ENDED.search(said)
    hint = (
        "; so ends a server that asks for a certificate, too: name yours with client_certificate=PATH" if asks else ""
    )
    return Unanswered(f"{url} cannot be reached: {said}{hint}")


def _headers(trailers: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Metadata as headers of HTTP; when to ask again is told by gRPC's own, or by `RetryInfo` (google/rpc)."""
    trailers = list(trailers)
    found = {name: value for name, value in trailers if isinstance(value, str)}
    if (pushback := found.get("grpc-retry-pushback-ms")) is None:
        pushback = next(
            (_delay(value) for name, value in trailers if name == _DETAILS and isinstance(value, bytes)), None
        )
    if pushback is not None:
        found.setdefault("retry-after-ms", pushback)
    return found


def _delay(raw: bytes) -> str | None:
    """Milliseconds of the `RetryInfo` among the details of a status; None where there is none, or none can be read."""
    from google.protobuf.message import DecodeError
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    info = RetryInfo()
    try:
        told = any(detail.Is(info.DESCRIPTOR) and detail.Unpack(info) for detail in Status.FromString(raw).details)
        return str(info.retry_delay.ToMilliseconds()) if told else None
    except (DecodeError, ValueError):
        return None
