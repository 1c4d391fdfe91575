"""A server: an oracle behind the Open Inference Protocol."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bbsmooth.assemble import bare_oracle
from bbsmooth.errors import UsageError
from bbsmooth.settings.common import OracleConfig
from bbsmooth.settings.serve import BODY, ServeConfig
from oracles import Oracle

Announce = Callable[[dict[str, Any]], None]
MEBIBYTE = 2**20


def serve(oracle: OracleConfig, config: ServeConfig, announce: Announce, *, held: Oracle | None = None) -> bool:
    """Serve the oracle until SIGTERM or Ctrl-C.

    Args:
        oracle: its batch size is the most images of one request and of one call.
        config: where and how.
        announce: told, once questions are answered, what is served where.
        held: the oracle itself, where it is open already.

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
        opened = bare_oracle(oracle) if held is None else held
        name = config.name or model.public_name(opened.spec)
        served = app.create_app(opened, name=name, plan=plan, max_body_bytes=(config.max_body or BODY) * MEBIBYTE)
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
