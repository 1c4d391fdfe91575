"""A server: an oracle behind the Open Inference Protocol."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bbsmooth.assemble import bare_oracle
from bbsmooth.errors import UsageError
from bbsmooth.settings.common import OracleConfig
from bbsmooth.settings.serve import BODY, ServeConfig
from oracles import Oracle

if TYPE_CHECKING:
    from fastapi import FastAPI

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
    with server.bind(config.host, config.port) as bound, over_grpc(config) as grpc:
        opened = bare_oracle(oracle) if held is None else held
        name = config.name or model.public_name(opened.spec)
        most = (config.max_body or BODY) * MEBIBYTE
        served = app.create_app(opened, name=name, plan=plan, max_body_bytes=most)
        bound.listen()
        where = address(bound.getsockname(), config)
        url = f"{where.pop('root')}/v2/models/{name}"
        told = {"served": opened.spec.name, "url": url, "oracle": f"kserve+{url}"}
        grpc(served, most, name, lambda more: announce(told | {"fingerprint": opened.spec.fingerprint} | where | more))
        return server.run(
            server.prepare(served, grace=config.grace, certificate=config.tls_cert, key=config.key), bound
        )


Beside = Callable[["FastAPI", int, str, Announce], None]
"""Has an application answer gRPC, too: the application, its largest body, the model's name, and whom to tell when."""


@contextmanager
def over_grpc(config: ServeConfig) -> Iterator[Beside]:
    """Whatever answers gRPC beside HTTP, where that is wished, on a port that is kept while the block runs.

    Raises:
        UsageError: the port cannot be had.
        SpecError: the extra `grpc` is not installed.
    """
    if config.grpc_port is None:
        yield lambda app, most, name, announce: announce({})
        return
    from oracles.remote.grpc.channel import needs

    needs()
    with needed():
        from bbsmooth.serving.grpc import gateway

    with gateway.reserved(config.host, config.grpc_port) as port:

        def beside(app: FastAPI, most: int, name: str, announce: Announce) -> None:
            host = f"[{config.host}]" if ":" in config.host else config.host
            secure = config.tls_cert is not None
            where = {"grpc": f"{'grpcs' if secure else 'grpc'}+kserve://{host}:{port}/{name}"}
            gateway.beside(
                app,
                config.host,
                port,
                max_body_bytes=most,
                grace=config.grace,
                started=lambda: announce(where),
                certificate=None if config.tls_cert is None else config.tls_cert.read_bytes(),
                key=None if config.key is None else config.key.read_bytes(),
            )

        yield beside


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


def address(bound: tuple[Any, ...], config: ServeConfig) -> dict[str, Any]:
    """The URL of a server whose socket says so, and whether other machines can reach it."""
    host, port = ipaddress.ip_address(bound[0]), bound[1]
    return {
        "root": f"{'https' if config.tls_cert else 'http'}://{f'[{host}]' if host.version == 6 else host}:{port}",
        "other_machines": not host.is_loopback,
    }
