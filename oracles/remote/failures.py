"""Meaning of a refusal or a broken connection: whether it is paid for, and whether asking again can help."""

from __future__ import annotations

import math
import re
import socket
import ssl
import time
import unicodedata
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpcore

from oracles.errors import (
    AnswerFailed,
    AnswerLate,
    AnswerLost,
    NotReady,
    OracleError,
    OracleUnavailable,
    QuestionRejected,
    ReplyMisformed,
    RequestRefused,
    Unanswered,
)
from oracles.remote.messages import Reply

LONGEST_RETRY_AFTER = 120.0
"""Seconds for which a server is left alone at most, whatever it asks for; a run's patience decides about the rest."""

_SHOWN = 200
_THROTTLED = re.compile(rb'"__type"\s*:\s*"([^"]*#)?(Throttling|ProvisionedThroughputExceeded)Exception"')
_THROTTLES = {400, 500}
"""Statuses with which AWS says so, as its service models have the one for a fault of the server."""

_QUOTA_SPENT, _QUOTA_RENEWED = re.compile(r";\s*r=0\s*(;|$)"), re.compile(r";\s*t=([0-9]{1,9})\s*(;|$)")
_RETRY_INFO = re.compile(rb'"retryDelay"\s*:\s*"([0-9]{1,9}(?:\.[0-9]{1,9})?)s"')
_REJECTED = {400, 411, 413, 414, 415, 422, 431}
_REFUSED = {400, 413, 422}
"""Those of them that refuse a batch for its size."""

_LOST = {408, 409, 425}
_NEVER = {501, 505, 511}
_ELSEWHERE = {201, 202}
_HINTS = {
    401: "check the credentials",
    403: "check the credentials and what they allow",
    404: "check the address",
    407: "check the proxy's credentials",
    413: "ask about fewer images at once, with a smaller batch size",
}
_UNSUPPORTED = re.compile(rb"Unsupported (?:parameter|value): '(max_tokens|temperature|seed)'")
"""As OpenAI's newer models say it."""

_INSTEAD = {"max_tokens": "max_completion_tokens=NUMBER", "temperature": "temperature=none", "seed": "seed=none"}
_NEVER_SENT = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout)
_NO_HTTP1 = re.compile("illegal (?:status|request) line")
_PROXY_REFUSES = ("401", "403", "407")


def of_status(reply: Reply, url: str) -> OracleError:
    """Error that a reply of any status but 200 stands for.

    Args:
        reply: from the server.
        url: that was asked, without secrets.

    Returns:
        `Unanswered` for 429, and for throttles that AWS answers with 400 or 500, and `NotReady` for 503: nothing was
        answered. `QuestionRejected` where the server finds fault with the question, `RequestRefused` where that may
        be the number of its images. `AnswerLost` for other failures, after which nobody knows what the server has
        done, `AnswerFailed` where it says that it failed. `OracleUnavailable` where no request can succeed. So is it
        of 201 and 202: the answer is elsewhere, and would be for the next question. `ReplyMisformed` for other kinds
        of success.
    """
    status = reply.status
    said = reply.phrase or f"{status} {_phrase(status)}".strip()
    text = " ".join(filter(None, [f"{url} answered {said}", _quoted(reply.body)]))
    if status in (429, 503) or (status in _THROTTLES and _THROTTLED.search(reply.body)):
        kind = NotReady if status == 503 else Unanswered
        return kind(text, retry_after=retry_after(reply.headers, reply.body))
    if status in _REJECTED:
        return (RequestRefused if status in _REFUSED else QuestionRejected)(
            text + (_unsupported(reply.body) or _hint(status))
        )
    if status in _LOST or (status >= 500 and status not in _NEVER):
        return (AnswerFailed if status >= 500 else AnswerLost)(text)
    if 200 <= status < 300:
        if status in _ELSEWHERE:
            return OracleUnavailable(
                f"{text} rather than 200; name an address that answers at once, or describe in an oracle.toml how to "
                "wait for the answer, with [polling]"
            )
        return ReplyMisformed(f"{text} rather than 200")
    return OracleUnavailable(text + _hint(status))


def of_exception(error: Exception, url: str, *, h2c: bool = False) -> OracleError:
    """Error that a broken connection stands for: `Unanswered` where the request was never sent, else `AnswerLost`.

    Args:
        error: from httpcore.
        url: that was asked, without secrets.
        h2c: whether HTTP/2 was spoken without TLS.
    """
    said = presentable(str(error)) or type(error).__name__
    origin = next(iter(error.args), None)  # where httpcore keeps what it has translated
    if isinstance(origin, ssl.SSLCertVerificationError):
        return OracleUnavailable(f"{url}: the server's certificate {_untrusted(origin, said)}")
    if isinstance(error, httpcore.ProxyError):
        refused = said.startswith(_PROXY_REFUSES)
        return (
            OracleUnavailable(f"{url}: the proxy refuses: {said}") if refused else Unanswered(f"{url}: proxy: {said}")
        )
    if isinstance(error, (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol)):
        return OracleUnavailable(f"{url} cannot be asked like this: {said}")
    if isinstance(error, _NEVER_SENT):
        where = "cannot be found" if isinstance(origin, socket.gaierror) else "cannot be reached"
        return Unanswered(f"{url} {where}: {said}")
    if isinstance(error, httpcore.TimeoutException):
        return AnswerLate(f"{url} did not answer in time: {said}{_other_tongue(said, h2c=h2c)}")
    return AnswerLost(f"{url}: the connection broke before the answer was there: {said}{_other_tongue(said, h2c=h2c)}")


def _other_tongue(said: str, *, h2c: bool) -> str:
    """A hint, where the server may speak another version of HTTP than it was asked in."""
    if h2c:
        return "; h2c=true is for servers that speak HTTP/2 without TLS, leave it out where this is none"
    if not _NO_HTTP1.match(said):
        return ""
    return (
        "; what answers is not HTTP/1.1: a port of gRPC is named grpc+kserve://HOST:PORT/NAME, a server that speaks "
        "HTTP/2 without TLS gets h2c=true"
    )


_CERTIFICATE = {
    9: "is not valid yet: is this machine's clock right?",
    10: "has expired: whoever runs the server has to renew it, unless this machine's clock is wrong",
    62: "is for another host: name the server as its certificate does",
    64: "is for another host: name the server as its certificate does",
}
"""By OpenSSL's number of the problem (X509_V_ERR_...): what is wrong, and what helps."""


def _untrusted(error: ssl.SSLCertVerificationError, said: str) -> str:
    known = _CERTIFICATE.get(error.verify_code)
    if known is not None:
        return f"{known} ({said})"
    return (
        f"is not trusted ({said}); if it is issued by an authority of your own, name its file in the environment "
        "variable SSL_CERT_FILE"
    )


def retry_after(headers: Mapping[str, str], body: bytes = b"") -> float | None:
    """Seconds after which the server asks to be asked again, 0 to `LONGEST_RETRY_AFTER`; None where it does not say.

    Understands `retry-after-ms`, and `retry-after` in seconds or as a date, which is held against the server's own
    clock where the reply tells it; else the time `t` after which a spent quota in `ratelimit` is renewed, as of Hugging
    Face (draft-ietf-httpapi-ratelimit-headers); else the `retryDelay` of a `RetryInfo` in the body, as of Google's
    services (google/rpc/error_details.proto).
    """
    seconds = _number(headers.get("retry-after-ms")) / 1000
    if math.isnan(seconds):
        seconds = _number(headers.get("retry-after"))
    if math.isnan(seconds):
        now = _date(headers.get("date"))
        seconds = _date(headers.get("retry-after")) - (time.time() if math.isnan(now) else now)
    if math.isnan(seconds):
        seconds = _renewal(headers.get("ratelimit", ""))
    if math.isnan(seconds) and (told := _RETRY_INFO.search(body)):
        seconds = float(told[1])
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def presentable(text: str) -> str:
    """The text on one line, without control characters."""
    spaced = "".join(" " if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") else letter for letter in text)
    return " ".join(spaced.split())


def _quoted(body: bytes) -> str:
    text = presentable(body[: 8 * _SHOWN].decode(errors="replace"))
    return f"({text if len(text) <= _SHOWN else text[:_SHOWN] + '...'})" if text else ""


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def _hint(status: int) -> str:
    return f"; {_HINTS[status]}" if status in _HINTS else ""


def _unsupported(body: bytes) -> str:
    """What to say to a chat model that names a setting which it does not take; empty where it names none."""
    found = _UNSUPPORTED.search(body)
    return f"; say {_INSTEAD[found[1].decode()]} in the oracle's name or file" if found else ""


def _number(text: str | None) -> float:
    """The number, NaN where there is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _renewal(quotas: str) -> float:
    """Seconds until the last of the spent quotas is renewed, NaN where none is spent."""
    found = [_QUOTA_RENEWED.search(quota) for quota in quotas.split(",") if _QUOTA_SPENT.search(quota)]
    return max((float(match[1]) for match in found if match), default=math.nan)


def _date(text: str | None) -> float:
    """Seconds since 1970, NaN where there is no date."""
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return math.nan
