"""Accounts: the ledger that is charged for a query, and the store that keeps the answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bbsmooth.engines.pooled import FailoverOracle
from bbsmooth.errors import UsageError
from bbsmooth.runs.decoding import Damaged
from bbsmooth.runs.directory import RunDirectory
from bbsmooth.runs.layout import DATABASE, LEDGER, RESPONSES
from bbsmooth.runs.remote import active_mirror
from bbsmooth.runs.reuse import Reused
from bbsmooth.settings.batch import ALONE, BatchConfig
from bbsmooth.settings.common import OracleConfig
from oracles import Budget, ChunkingOracle, Ledger, MeteredOracle, Oracle, Purpose, ResponseStore, StorageError
from oracles.capabilities import Server, server_of
from oracles.chunking import HalvingOracle
from oracles.price_tables import provenance
from oracles.remote.batch_limit import BatchLimitOracle
from oracles.remote.rate_limiter import RateLimitedOracle
from oracles.remote.retrying import RetryingOracle
from oracles.remote.score_unit import SteadyUnitOracle

_log = logging.getLogger(__name__)

_TOLERATED = 2
"""Canary images that may be refused before any question is answered."""

_VOTES = {Purpose.SELECT, Purpose.ESTIMATE, Purpose.PREDICT}
"""Purposes for which a refused batch is halved where its votes are recorded."""


@dataclass(frozen=True, slots=True)
class Account:
    """Record of what a run spent and of what it was told.

    Attributes:
        ledger: what was spent.
        store: the answers.
    """

    ledger: Ledger
    store: ResponseStore

    @property
    def affordable(self) -> int | None:
        """Queries that may still be spent, None for no limit."""
        return None if self.ledger.remaining is None else max(0, self.ledger.remaining)


def tell_prices(config: OracleConfig) -> None:
    """Log of what day and from where prices are, before anything is paid."""
    table = config.price_table
    if table is not None and (known := provenance(table)):
        _log.info(known)


@contextmanager
def account(
    run: RunDirectory, config: OracleConfig, *, reuse: Reused | None = None, batch: BatchConfig = ALONE
) -> Iterator[Account]:
    """The ledger and the responses of a run, with the answers of an earlier one, released at the end.

    Where the run is mirrored, nothing is charged before its other place can know of it.

    Args:
        run: the run.
        config: holds the budget.
        reuse: an earlier run whose answers are taken over, None for none.
        batch: whether a batch interface is asked, and what it saves.

    Raises:
        Damaged: the ledger is gone or unreadable, or the answers are gone that it paid for.
    """
    mirror = active_mirror(run.path)
    budget = batch.limits(config)
    tell_prices(config)
    ledger = _ledger(run.path, budget, None if mirror is None else mirror.cover)
    if ledger.total and not _holds_answers(run.path) and not run.charged_ahead:
        raise Damaged(
            f"{run.path / RESPONSES} is gone, with answers that {ledger.total:,} queries were paid for; restore it "
            "from a copy, or name another `run`"
        )
    ledger.save()
    if reuse is not None:
        reuse.copy_answers(run.path)
    store = ResponseStore(run.path / RESPONSES)
    try:
        yield Account(ledger, store)
    finally:
        store.close()
        with suppress(StorageError):  # on a full disk; every charge is there, only traffic since the last one is not
            ledger.save()


def _holds_answers(folder: Path) -> bool:
    """True if there is a record: it is made before the first query is charged."""
    database = folder / RESPONSES / DATABASE
    return database.exists() and database.stat().st_size > 0


def _ledger(folder: Path, budget: Budget, told: Callable[[Mapping[str, Any]], None] | None) -> Ledger:
    """The account of a run, with what was spent on it.

    Raises:
        Damaged: it is gone or unreadable, so that nobody knows what was spent.
    """
    path = folder / LEDGER
    if not path.exists() and (folder / RESPONSES).exists():
        raise Damaged(f"{path} is gone, so nobody knows what was spent; restore it, or name another `run`")
    try:
        return Ledger(budget, path, told=told)
    except StorageError as error:
        raise Damaged(f"{error}; restore it, or name another `run`") from error
    except (ValueError, TypeError) as error:
        raise Damaged(f"{path} is not a ledger ({error}); restore it, or name another `run`") from error


def charged(oracle: Oracle, ledger: Ledger, purpose: Purpose) -> Oracle:
    """The oracle behind the ledger. Each call is charged on its own, so chunks stand outside.

    A remote one is asked again where that can help. Each attempt waits for its turn before it is charged, and those who
    find out whose fault a failure is do so on the account of drift. No batch is sent that is larger than the server
    takes, as soon as that is known.
    """
    server = server_of(oracle)
    asked = _attempt(oracle, ledger, purpose, server)
    if server is not None:
        asked = _repeated(asked, oracle, ledger, purpose, server)
    limit = oracle.spec.max_batch
    return asked if limit is None else ChunkingOracle(asked, limit)


def _repeated(asked: Oracle, oracle: Oracle, ledger: Ledger, purpose: Purpose, server: Server) -> Oracle:
    """One try of a server as many times as it takes, with batches that the server takes."""
    server.begin(ledger.traffic)
    retrying = RetryingOracle(
        asked,
        health_check=_attempt(oracle, ledger, Purpose.DRIFT, server),
        breaker=server.breaker,
        attempts=server.limits.attempts,
        retried=ledger.traffic.retried,
        tolerated=_TOLERATED if purpose is Purpose.DRIFT else 0,
    )
    limited = BatchLimitOracle(retrying, server.batch_limit, partial(ledger.refund, purpose=purpose))
    if purpose in _VOTES:
        return limited
    halving = HalvingOracle(limited)
    return halving if purpose is Purpose.DRIFT else SteadyUnitOracle(halving)


def _attempt(oracle: Oracle, ledger: Ledger, purpose: Purpose, server: Server | None) -> Oracle:
    """One try: in its turn where it goes to a server, charged, and again elsewhere where a worker is lost with it."""
    attempt: Oracle = MeteredOracle(oracle, ledger, purpose, attempts=0 if server is None else 1)
    if server is not None:
        attempt = RateLimitedOracle(attempt, server.limiter)
    return FailoverOracle(attempt)


def refuse_small_budget(config: OracleConfig, queries: int, which: str) -> None:
    """Refuse a budget that cannot pay for one image.

    Args:
        config: holds the budget.
        queries: for one image.
        which: the settings that add up to them.

    Raises:
        UsageError: the budget is smaller than that.
    """
    limit = config.limits.reach
    if limit is not None and limit < queries:
        raise UsageError(
            f"a budget of {limit} queries cannot pay for one image: {which} = {queries}; "
            "raise it, or lower `num_estimation`"
        )
