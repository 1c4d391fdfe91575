"""A smoothed classifier served in this process, on a socket of 127.0.0.1, and a client to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI

from bbsmooth.assemble import charged
from bbsmooth.certification import CohenPlan, Plan, VoteSource
from bbsmooth.noise import Gaussian, Grid, NoisyCopies
from bbsmooth.serving.server import bind, prepare, run
from bbsmooth.serving.smoothed.accounts import opened_accounts
from bbsmooth.serving.smoothed.app import Limits, create_smoothed_app
from bbsmooth.serving.smoothed.clients import Clients, anybody
from bbsmooth.serving.smoothed.fair_batching import PURPOSE
from bbsmooth.serving.smoothed.fresh import FreshCases, NullStore
from oracles import Budget, Oracle, VoteLog
from oracles.capabilities import interruption
from oracles.remote.remote import RemoteOracle
from tests.bbsmooth.serving.running import INFER, KEPT, NAME, question
from tests.waiting import LONG

PLAN = CohenPlan(noise=Gaussian(0.5), num_selection=5, num_estimation=23, alpha=0.05)
COST = PLAN.queries
LIMITS = Limits(batch_size=16, concurrency=2, max_images=8, max_waiting=64, max_body_bytes=100_000)


@contextmanager
def smoothed(
    oracle: Oracle,
    *,
    plan: Plan = PLAN,
    clients: Clients | None = None,
    house: Budget = Budget(),  # noqa: B008  # frozen
    folder: Path | None = None,
    limits: Limits = LIMITS,
    bits: int = 8,
    beside: Callable[[FastAPI], None] = lambda app: None,
) -> Iterator[httpx.Client]:
    """Serve while the block runs."""
    clients = clients or anybody(budget=house.queries, rate=None)
    with ExitStack() as stack:
        ledger, accounts = stack.enter_context(opened_accounts(clients, house, folder))
        copies = NoisyCopies(noise=plan.noise, grid=Grid(bits), seed=0)
        log = VoteLog(NullStore(), oracle.spec)
        votes = {PURPOSE: charged(oracle, ledger, PURPOSE)}
        source = VoteSource(oracles=votes, log=log, copies=copies, interrupt=interruption(oracle))
        cases = FreshCases(source, copies, plan)
        recover = oracle.breaker.reset if isinstance(oracle, RemoteOracle) else lambda: None
        app = create_smoothed_app(cases, name=NAME, clients=clients, accounts=accounts, limits=limits, recover=recover)
        beside(app)
        listening = bind("127.0.0.1", 0)
        listening.listen()
        server = prepare(app)
        thread = threading.Thread(target=run, args=(server, listening))
        host, port = listening.getsockname()
        thread.start()
        try:
            yield stack.enter_context(
                httpx.Client(base_url=f"http://{host}:{port}", timeout=LONG, trust_env=False, limits=KEPT)
            )
        finally:
            server.should_exit = True
            thread.join()


def ask(client: httpx.Client, images: Any, *, key: str | None = None, **more: Any) -> httpx.Response:
    """Ask about uint8 images (B, C, H, W)."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return client.post(INFER, json=question(np.asarray(images), datatype="UINT8", **more), headers=headers)


def outputs(reply: httpx.Response) -> dict[str, np.ndarray[Any, Any]]:
    """Output tensors of a JSON reply, by name."""
    assert reply.status_code == 200, reply.text
    return {each["name"]: np.array(each["data"]).reshape(each["shape"]) for each in reply.json()["outputs"]}
