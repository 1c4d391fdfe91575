"""Messages that go over the wire and come back, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        method: GET, POST or PUT.
        url: absolute, without secrets.
        headers: without secrets; credentials are added by the transport when it sends.
        body: bytes to send.
        identifier: what the reply has to repeat, empty where the protocol knows no such thing.
        secrets: marks in the body in whose place the transport puts secrets; each with a template of `Secrets`.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    identifier: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response, read to its end.

    Attributes:
        status: HTTP status.
        headers: names in lower case.
        body: decoded of any content encoding.
        phrase: what the server calls the status; empty for HTTP's own words.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    phrase: str = ""
