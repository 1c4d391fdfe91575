"""What tuning through a batch interface takes: what may be spent, how often it waits, and what is refused for it."""

from __future__ import annotations

import logging

from bbsmooth.errors import UsageError
from bbsmooth.settings.batch import BATCHING, BatchConfig
from bbsmooth.settings.common import SPEED, OracleConfig
from bbsmooth.tuning.rounds import Rounds
from oracles import Ledger, Oracle, Purpose
from oracles.capabilities import batching_of
from oracles.remote.batches.endpoint import WINDOW_HOURS
from oracles.watch import DriftWatch

_log = logging.getLogger(__name__)

MOST_ROUNDS = 30
"""Rounds that are begun without being asked for: a month, where each takes as long as vendors allow themselves."""

_FEW = 20
"""Steps that an error proposes."""

_MONEY = frozenset({"batch", "batch_discount"})
"""Settings of a batch that decide how many queries money buys, and so which questions are asked."""


def changeable(oracle: OracleConfig) -> frozenset[str]:
    """Settings that a tuning may change when it is resumed."""
    return SPEED | (BATCHING if oracle.max_price is None else BATCHING - _MONEY)


def spare(oracle: OracleConfig, watch: DriftWatch, queries: int, batch: BatchConfig) -> int:
    """Queries for tuning, of a budget; the same whenever a run is resumed.

    Args:
        oracle: how to ask, which holds the limits.
        watch: whose canaries are paid for too, each alone.
        queries: that the budget holds, or fewer where more are not worth it.
        batch: how they are asked.
    """
    wanted = watch.spare(queries - watch.begun_with) or 0
    if not batch.batch:
        return wanted
    begun = Ledger(batch.limits(oracle))
    if watch.begun_with:
        begun.charge(watch.begun_with, purpose=Purpose.DRIFT)
    return max(0, min(wanted, begun.remaining_by_batch(watch.spare) or 0))


def refuse_long_waiting(rounds: Rounds, oracle: Oracle, steps: int | None) -> None:
    """Say how long a tuning may wait for its jobs, before anything is paid for.

    Args:
        rounds: of its questions.
        oracle: whose batch interface is asked.
        steps: most steps that were asked for, None for nobody's wish.

    Raises:
        UsageError: very long, and nobody has asked for it with `steps`.
    """
    if (found := batching_of(oracle)) is None:
        return
    _, endpoint = found
    number, jobs = rounds.number, rounds.jobs(endpoint.limits.requests)
    hours = number * WINDOW_HOURS
    words = (
        f"up to {number:,} rounds of questions one after the other, in {jobs:,} jobs or more; {endpoint.name} means to "
        f"answer each within {WINDOW_HOURS:g} hours, so up to {hours:,.0f} hours ({hours / 24:,.0f} days)"
    )
    if steps is None and number > MOST_ROUNDS:
        raise UsageError(
            f"`batch` takes {words}: give `steps`, the most steps to take, each with more questions ({_FEW} make "
            f"{_FEW + number - rounds.steps} rounds), or leave `batch` out"
        )
    _log.info(f"tuning by batch takes {words}")
