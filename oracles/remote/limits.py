"""Limits of the client of one remote classifier: rate, patience, price. None of them changes an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from oracles.errors import SpecError
from oracles.prices import Prices, read_prices

_PRICES = ("price_per_1000", "price_per_million_input", "price_per_million_output")
_POSITIVE = (
    "requests_per_second",
    "requests_per_minute",
    "connect_seconds",
    "read_seconds",
    "write_seconds",
    "total_seconds",
    "patience_seconds",
    "keepalive_seconds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """Limits of one remote classifier; the fingerprint of an oracle covers none of them.

    Args:
        concurrency: most requests under way at once.
        requests_per_second: most requests begun in a second, None for no limit.
        requests_per_minute: the same for a minute.
        connect_seconds: patience for a connection.
        read_seconds: patience for the next bytes of a reply.
        write_seconds: patience for the server to take the next bytes.
        total_seconds: patience for a request and its whole reply, however steadily the bytes drip.
        attempts: most times that one question is sent, not counting those that the server turned away without an
            answer; at least 2.
        patience_seconds: of uninterrupted failure, after which a run ends.
        max_reply_bytes: larger replies are refused.
        price_per_1000: price of 1,000 queries, None where unknown or free; beside prices of tokens the most that 1,000
            queries cost, for those whose replies do not tell.
        price_per_million_input: price of a million tokens that the model reads, where replies tell how many they were.
        price_per_million_output: the same of tokens that it writes.
        prices: a table of prices in place of these two: a file, as docs/prices.md explains, or the name of a preset.
        http2: whether HTTP/2 is offered, over TLS.
        h2c: whether HTTP/2 is spoken without TLS, to a server that is known to.
        keepalive_seconds: of silence after which a connection is probed, None for never; of gRPC, servers that do not
            allow it close connections that are probed more often than each 300 seconds.
        client_certificate: file of a certificate (PEM) that proves who asks, in TLS.
        client_key: file of its key, which only its owner can read; if left out, that of the certificate.
        gzip: whether request bodies are compressed.
        headers: added to every request: name to value, in which ${NAME} stands for an environment variable,
            ${file:PATH} for the content of a file that only its owner can read, and ${exec:COMMAND} for what a command
            prints; files and commands are read again when a token expires or is refused (401).
        auth: how else requests prove who asks: `aws:SERVICE[:REGION]` signs them for any service of AWS (extra `aws`),
            `google[:SCOPE]` and `azure[:SCOPE]` send tokens of the vendors' own libraries (extras `google`, `azure`).

    Raises:
        SpecError: a number that cannot be.
    """

    concurrency: int = 8
    requests_per_second: float | None = None
    requests_per_minute: float | None = None
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    write_seconds: float = 60.0
    total_seconds: float = 120.0
    attempts: int = 8
    patience_seconds: float = 300.0
    max_reply_bytes: int = 64 * 2**20
    price_per_1000: float | None = None
    price_per_million_input: float | None = None
    price_per_million_output: float | None = None
    prices: str | None = None
    http2: bool = False
    h2c: bool = False
    keepalive_seconds: float | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    gzip: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name, least in (("concurrency", 1), ("attempts", 2), ("max_reply_bytes", 1)):
            if getattr(self, name) < least:
                raise SpecError(f"{name} should be at least {least}, got {getattr(self, name)}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SpecError(f"{name} should be a number above 0, got {value}")
        for name in _PRICES:
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise SpecError(f"{name} should be a number of at least 0, got {value}")
        if (self.price_per_million_input is None) is not (self.price_per_million_output is None):
            raise SpecError("give price_per_million_input and price_per_million_output together")
        if self.price_per_million_input is not None and self.prices is not None:
            raise SpecError("give price_per_million_input and price_per_million_output, or prices, not both")

    @property
    def token_prices(self) -> Prices | None:
        """Prices of tokens, None where they are not stated one by one."""
        read, written = self.price_per_million_input, self.price_per_million_output
        if read is None or written is None:
            return None
        return read_prices({"per_million_input_tokens": read, "per_million_output_tokens": written})

    @property
    def seconds_between_requests(self) -> float:
        """Least seconds between the beginnings of two requests: then no second or minute has more."""
        per_second, per_minute = self.requests_per_second or math.inf, self.requests_per_minute or math.inf
        return max(1 / per_second, 60 / per_minute)
