"""An oracle in memory, or its smoothed classifier, as a server."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from bbsmooth.api.methods import CertificationMethod
from bbsmooth.api.oracle import BATCH_SIZE, as_opened
from bbsmooth.api.sessions.serve import serve as session
from bbsmooth.api.sessions.serve_smoothed import serve_smoothed
from bbsmooth.api.subject import UNLIMITED, AnyFront, AnyOracle, front_of
from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import SmoothingConfig
from bbsmooth.settings.idle import refuse_without
from bbsmooth.settings.serve import ServeConfig, ServiceConfig
from oracles import Budget
from oracles.price_tables import in_one_line

_log = logging.getLogger(__name__)
_MAX_IMAGES, _MAX_WAITING, _DELAY = 16, 64, 2.0


def serve(
    oracle: AnyOracle,
    *,
    port: int,
    host: str = "127.0.0.1",
    name: str | None = None,
    noise: NoiseDistribution | None = None,
    plan: CertificationMethod | None = None,
    front: AnyFront | None = None,
    budget: Budget | None = None,
    ledger: Path | str | None = None,
    clients: Path | str | None = None,
    rate: float | None = None,
    max_queries_per_image: int | None = None,
    max_images: int = _MAX_IMAGES,
    max_waiting: int = _MAX_WAITING,
    max_body: int | None = None,
    batch_size: int = BATCH_SIZE,
    concurrency: int = 1,
    delay_milliseconds: float = _DELAY,
    grace: int = 30,
    grpc_port: int | None = None,
    tls_cert: Path | str | None = None,
    tls_key: Path | str | None = None,
) -> bool:
    """Serve an oracle behind the Open Inference Protocol, or with `noise` and `plan` its smoothed classifier.

    Blocks until Ctrl-C or SIGTERM; what is served where goes to the log.

    Args:
        oracle: from `bbsmooth.oracle`, or what that takes.
        port: 0 for any free one.
        host: address to listen on.
        name: of the model in URLs, None for one that follows from the oracle's.
        noise: of the smoothed classifier, None for the oracle itself.
        plan: how its votes become certificates.
        front: stands between the noise and the oracle.
        budget: what the smoothed classifier may spend in all.
        ledger: folder that keeps what was spent; needed with a budget.
        clients: file of clients and their keys, None where no key is asked for.
        rate: requests a second of each client that has no rate of its own, None for no limit.
        max_queries_per_image: to which the draws of an image are cut, None for as many as the plan takes.
        max_images: in one request to the smoothed classifier.
        max_waiting: images at work there.
        max_body: largest body of a request, in MiB; None for the usual one.
        batch_size: most images of one call.
        concurrency: calls under way at once.
        delay_milliseconds: longest wait of a request for others to join it.
        grace: seconds that requests under way may take once the server is told to end.
        grpc_port: for gRPC beside HTTP, 0 for any free one; None where gRPC is not spoken. Needs the extra `grpc`.
        tls_cert: PEM file of the server's certificates, with which it speaks HTTPS and gRPC over TLS; None for none.
        tls_key: PEM file of the private key, without a password; None where it stands in that of the certificate.

    Returns:
        Whether everything under way at the end was finished.

    Raises:
        UsageError: settings that cannot work, or the extra `serve` is not installed.
    """
    if (noise is None) is not (plan is None):
        raise UsageError("`noise` and `plan` make the smoothed classifier together; give both or neither")
    asked, limits = as_opened(oracle), budget or UNLIMITED
    config = ServeConfig(
        host=host,
        port=port,
        grpc_port=grpc_port,
        tls_cert=None if tls_cert is None else Path(tls_cert),
        tls_key=None if tls_key is None else Path(tls_key),
        name=name,
        delay_milliseconds=delay_milliseconds,
        max_body=max_body,
        grace=grace,
    )
    asking = replace(
        asked.config,
        batch_size=batch_size,
        concurrency=concurrency,
        budget=limits.queries,
        price=asked.config.price if limits.price_per_1000 is None else limits.price_per_1000,
        prices=asked.config.prices if limits.prices is None else in_one_line(limits.prices),
        max_price=limits.money,
        max_attempts=limits.attempts,
    )
    if noise is None or plan is None:
        refuse_without(
            "noise",
            front=front is not None,
            budget=budget is not None,
            ledger=ledger is not None,
            clients=clients is not None,
            rate=rate is not None,
            max_queries_per_image=max_queries_per_image is not None,
            max_images=max_images != _MAX_IMAGES,
            max_waiting=max_waiting != _MAX_WAITING,
        )
        return session(asking, config, _announce, held=asked.bare)
    if delay_milliseconds != _DELAY:
        raise UsageError("`delay_milliseconds` is for an oracle without `noise`; leave it out")
    before = front_of(front, noise.sigma)
    return serve_smoothed(
        asking,
        SmoothingConfig(sigma=noise.sigma, noise=noise.name, coordinator=before.path, seed=0),
        CertifyConfig(**{"radii": ()} | plan.settings | {"limit": None}),
        ServiceConfig(
            max_queries_per_image=max_queries_per_image,
            clients=None if clients is None else Path(clients),
            ledger=None if ledger is None else Path(ledger),
            rate=rate,
            max_images=max_images,
            max_waiting=max_waiting,
        ),
        config,
        _announce,
        held=(asked.bare, before),
    )


def _announce(what: dict[str, Any]) -> None:
    _log.info("%s answers at %s", what["served"], " and ".join(what[way] for way in ("url", "grpc") if way in what))
