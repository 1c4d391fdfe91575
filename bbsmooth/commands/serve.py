"""`bbsmooth serve`: an oracle, or its smoothed classifier, behind the Open Inference Protocol."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bbsmooth.assemble import bare_oracle
from bbsmooth.errors import UsageError
from bbsmooth.settings.common import OracleConfig

Announce = Callable[[dict[str, Any]], None]
MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Where and how to serve.

    Args:
        host: address to listen on.
        port: 0 for any free one.
        name: of the model in URLs, None for one that follows from the oracle's.
        delay_milliseconds: longest wait of a request for others to join it.
        max_body: largest body of a request, in MiB.
        grace: seconds that requests under way may take once the server is told to end.
    """

    host: str
    port: int
    name: str | None
    delay_milliseconds: float
    max_body: int
    grace: int = 30

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 <= self.port < 2**16:
            raise UsageError(f"`port` must lie between 0 and {2**16 - 1}, got {self.port}")
        if self.max_body < 1:
            raise UsageError(f"`max_body` must be at least 1 MiB, got {self.max_body}")
        if self.grace < 0:
            raise UsageError(f"`grace` must not be negative, got {self.grace}")
        if self.name is not None and not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", self.name):
            raise UsageError(f"`name` may hold letters, digits, '.', '_' and '-', got {self.name!r}")


def serve(oracle: OracleConfig, config: ServeConfig, announce: Announce) -> bool:
    """Serve the oracle until SIGTERM or Ctrl-C.

    Args:
        oracle: its batch size is the most images of one request and of one call.
        config: where and how.
        announce: told, once questions are answered, what is served where.

    Returns:
        Whether everything under way at the end was finished.

    Raises:
        UsageError: settings that cannot work, or the extra `serve` is not installed.
        OracleError: the oracle cannot be opened.
    """
    with needed():
        from bbsmooth.serving import app, batching, model, server

    try:
        plan = batching.BatchPlan(
            size=oracle.batch_size,
            delay_seconds=config.delay_milliseconds / 1000,
            concurrency=oracle.concurrency,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    with server.bind(config.host, config.port) as bound:
        opened = bare_oracle(oracle)
        name = config.name or model.public_name(opened.spec)
        served = app.create_app(opened, name=name, plan=plan, max_body_bytes=config.max_body * MEBIBYTE)
        bound.listen()
        where = address(bound.getsockname())
        url = f"{where.pop('root')}/v2/models/{name}"
        told = {"served": opened.spec.name, "url": url, "oracle": f"kserve+{url}"}
        announce(told | {"fingerprint": opened.spec.fingerprint} | where)
        return server.run(server.prepare(served, grace=config.grace), bound)


@contextmanager
def needed() -> Iterator[None]:
    """Say which package is missing where the block imports one that is.

    Raises:
        UsageError: the extra `serve` is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(f"serving needs {error.name}; install it with: pip install 'bbsmooth[serve]'") from error


def address(bound: tuple[Any, ...]) -> dict[str, Any]:
    """The URL of a server whose socket says so, and whether other machines can reach it."""
    host, port = ipaddress.ip_address(bound[0]), bound[1]
    return {
        "root": f"http://{f'[{host}]' if host.version == 6 else host}:{port}",
        "other_machines": not host.is_loopback,
    }
