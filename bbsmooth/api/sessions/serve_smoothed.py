"""A server: the smoothed classifier behind the Open Inference Protocol."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bbsmooth.api.sessions.serve import MEBIBYTE, Announce, address, needed, over_grpc
from bbsmooth.assemble import Account, Front, opened, settled, tell_prices, vote_source
from bbsmooth.certification import Plan
from bbsmooth.errors import UsageError
from bbsmooth.noise import NoisyCopies
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import OracleConfig, SmoothingConfig
from bbsmooth.settings.serve import SMOOTHED_BODY, ServeConfig, ServiceConfig
from oracles import Ledger, Oracle, ResponseStore
from oracles.capabilities import server_of
from oracles.watch import NoWatch

if TYPE_CHECKING:
    from bbsmooth.serving.smoothed.app import Limits
    from bbsmooth.serving.smoothed.clients import Clients
    from bbsmooth.serving.smoothed.fresh import FreshCases


def serve_smoothed(
    oracle: OracleConfig,
    smoothing: SmoothingConfig,
    certify: CertifyConfig,
    service: ServiceConfig,
    config: ServeConfig,
    announce: Announce,
    *,
    held: tuple[Oracle, Front] | None = None,
) -> bool:
    """Serve the smoothed classifier until SIGTERM or Ctrl-C.

    Args:
        oracle: whom to ask; its budget is that of the service as a whole.
        smoothing: the noise; its seed is replaced by a secret one for every image.
        certify: how votes become certificates.
        service: who may ask for how much.
        config: where and how.
        announce: told, once questions are answered, what is served where.
        held: oracle and front, where they are open already.

    Returns:
        Whether everything under way at the end was finished.

    Raises:
        UsageError: settings that cannot work, or the extra `serve` is not installed.
        OracleError: the oracle cannot be opened.
    """
    with needed():
        from bbsmooth.serving import model, server
        from bbsmooth.serving.smoothed import accounts, app

    plan = service.capped(certify).judged_plan(smoothing.distribution, 1)
    clients = _clients(service, oracle)
    _refuse_small_budgets(clients, oracle, plan.num_selection + plan.max_estimation)
    with server.bind(config.host, config.port) as bound, over_grpc(config) as grpc, ExitStack() as stack:
        if held is None:
            (base, oracle), front = opened(oracle), Front(smoothing.coordinator, smoothing.sigma)
        else:
            (base, front), oracle = held, settled(held[0], oracle)
        tell_prices(oracle)
        limits = _limits(oracle, service, config)
        files = min(1024, server.open_files() // 8)
        ledger, own = stack.enter_context(
            accounts.opened_accounts(clients, oracle.limits, service.ledger, open_files=files)
        )
        cases = stack.enter_context(_cases(base, front, smoothing, ledger, plan))
        name = config.name or model.public_name(base.spec)
        server_asked = server_of(base)
        recover = (lambda: None) if server_asked is None else server_asked.breaker.reset
        served = app.create_smoothed_app(
            cases, name=name, clients=clients, accounts=own, limits=limits, recover=recover
        )
        bound.listen()
        where = address(bound.getsockname(), config)
        root = where.pop("root")
        told = {
            "served": f"{base.spec.name}, smoothed",
            "url": f"{root}/v2/models/{name}",
            "page": f"{root}/",
            "fingerprint": cases.source.log.spec.fingerprint,
            "max_queries_per_image": cases.most_queries,
            "keyed": clients.keyed,
        }
        grpc(served, limits.max_body_bytes, name, lambda more: announce(told | where | more))
        return server.run(
            server.prepare(served, grace=config.grace, certificate=config.tls_cert, key=config.key), bound
        )


def _clients(service: ServiceConfig, oracle: OracleConfig) -> Clients:
    from bbsmooth.serving.smoothed.clients import anybody, read_clients

    limit = oracle.limits.limit if oracle.prices is None else oracle.budget  # money is counted as replies tell
    if service.clients is None:
        clients = anybody(budget=limit, rate=service.rate)
    else:
        clients = read_clients(service.clients, rate=service.rate)
    own = (limit, oracle.max_price, oracle.max_attempts)
    limited = any(each is not None for each in (*own, *(client.budget for client in clients.all)))
    if limited and service.ledger is None:
        raise UsageError("a budget needs `ledger` FOLDER to keep what was spent: a restart would give it back")
    return clients


def _refuse_small_budgets(clients: Clients, oracle: OracleConfig, most: int) -> None:
    """A budget from which not even one image is ever answered is a mistake; 0 shuts a client out on purpose."""
    budgets = {"`budget` (or `max_price`)": oracle.limits.limit}
    budgets |= {f"the budget of client {each.name!r}": each.budget or None for each in clients.all if clients.keyed}
    for name, budget in budgets.items():
        if budget is not None and budget < most:
            raise UsageError(
                f"{name} allows {budget} queries, and one image may take {most}; raise it, or lower "
                "`num_estimation` or `max_queries_per_image`"
            )


def _limits(oracle: OracleConfig, service: ServiceConfig, config: ServeConfig) -> Limits:
    from bbsmooth.serving.smoothed.app import Limits

    try:
        return Limits(
            batch_size=oracle.batch_size,
            concurrency=oracle.concurrency,
            max_images=service.max_images,
            max_waiting=service.max_waiting,
            max_body_bytes=(config.max_body or SMOOTHED_BODY) * MEBIBYTE,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


@contextmanager
def _cases(base: Oracle, front: Front, smoothing: SmoothingConfig, ledger: Ledger, plan: Plan) -> Iterator[FreshCases]:
    """Cases of images that `base` takes, charged to `ledger`."""
    from bbsmooth.serving.smoothed.fair_batching import PURPOSE
    from bbsmooth.serving.smoothed.fresh import FreshCases, NullStore, secret_seed

    if base.spec.image_shape is None:
        raise UsageError(
            f"the service needs to know which images {base.spec.name} takes; say it in the oracle's name, as in "
            "module:PATH.py:FUNCTION?image_shape=1x28x28"
        )
    smoothing = replace(smoothing, seed=secret_seed())
    with tempfile.TemporaryDirectory(prefix="bbsmooth-") as folder:
        store = ResponseStore(Path(folder))  # of what replies say of the model
        try:
            kept = Account(ledger, store)
            source = vote_source(base, front, smoothing, kept, (PURPOSE,), watch=NoWatch(NullStore()))
            assert isinstance(source.copies, NoisyCopies), "additive noise is drawn as copies"
            yield FreshCases(source, source.copies, plan)
        finally:
            store.close()
