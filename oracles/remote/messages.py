"""Messages that go over the wire and come back, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        method: GET or POST.
        url: absolute, without secrets.
        headers: without secrets; credentials are added by the transport when it sends.
        body: bytes to send.
        identifier: what the reply has to repeat, empty where the protocol knows no such thing.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    identifier: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response, read to its end.

    Attributes:
        status: HTTP status.
        headers: names in lower case.
        body: decoded of any content encoding.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
