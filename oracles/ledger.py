"""Ledger: the durable record of what was spent, within what may be."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from oracles.budget import Budget, Spent
from oracles.errors import BudgetExhausted, SpecError, StorageError
from oracles.group_commit import GroupCommit
from oracles.ledger_file import CHANGES, LedgerFile, unreadable
from oracles.ledger_state import (
    BATCH_DISCOUNT,
    BATCH_PRICE,
    BATCHED,
    BILLED,
    PRICE,
    PRICES,
    refuse_contradiction,
    with_prices,
)
from oracles.traffic import Traffic, count
from oracles.usage import Metered


class Purpose(StrEnum):
    """Purpose of a query."""

    TUNE = "tune"
    SELECT = "select"
    ESTIMATE = "estimate"
    PREDICT = "predict"
    DRIFT = "drift"
    ATTACK = "attack"


class Ledger:
    """Record of what was spent, by purpose; charged before anything is sent, so that a crash can only overstate it.

    Exact under threads. Each charge is on disk (see `LedgerFile`) before `charge` returns; charges that come while the
    disk is busy go there together. One process at a time may hold a ledger file.

    Args:
        budget: the limit; prices that it leaves out are those that the file was last told.
        path: the file that keeps the record, with what an earlier process spent; None keeps it in memory.
        told: shown what the file says now, before a charge returns; it raises `StorageError` to refuse the charge.

    Attributes:
        budget: as given, with those prices.
        traffic: what went over the wire; written down along with charges.

    Raises:
        SpecError: a limit on money without a price.
        StorageError: the file cannot be read, or is not a ledger.
    """

    def __init__(
        self, budget: Budget, path: Path | None = None, *, told: Callable[[Mapping[str, Any]], None] | None = None
    ) -> None:
        """Go on from what the file says."""
        self._told = told
        self._file = None if path is None else LedgerFile(path)
        self._lock = threading.Lock()  # for what follows
        self._spent, self._batched, self._attempts, self.traffic, self._changes, known = _read(self._file)
        self.budget = with_prices(budget, known)
        self.budget.check()
        self._set_aside: dict[Purpose, int] = {}
        self._disk = threading.Lock()  # for the file and what follows; taken before `_lock`, never after it
        self._changes_on_disk = self._changes
        self._commit = GroupCommit(done=self._changes)

    @property
    def spent(self) -> Mapping[Purpose, int]:
        """Queries charged so far, by purpose."""
        with self._lock:
            return dict(self._spent)

    @property
    def total(self) -> int:
        """Queries charged so far."""
        return sum(self.spent.values())

    @property
    def attempts(self) -> int:
        """Requests charged so far."""
        with self._lock:
            return self._attempts

    @property
    def remaining(self) -> int | None:
        """Queries left, None where there is no limit. Negative if an earlier process had a larger budget.

        Where replies tell their tokens they are as many as fit if replies go on to take as many.
        """
        with self._lock:
            return self.budget.expected_left(self._all())

    @property
    def batched(self) -> int:
        """Queries charged so far that a batch interface answers."""
        with self._lock:
            return self._batched

    @property
    def price(self) -> float:
        """The most that the queries charged so far can cost: what is known of them, and the most of all others."""
        with self._lock:
            return float(self.budget.cost(self._all()))

    @property
    def billed(self) -> float | None:
        """Cost of what is known to have been billed, None without prices of tokens, images or requests."""
        with self._lock:
            billed = self.budget.billed(self._all())
        return None if billed is None else float(billed)

    @property
    def usage(self) -> Metered:
        """Tokens that replies have told of."""
        return self.traffic.metered

    def remaining_by_batch(self, spare: Callable[[int | None], int | None]) -> int | None:
        """Queries left that a batch interface may answer, None where there is no limit.

        Args:
            spare: from queries left, each asked alone, to those of them that may be spent on this.
        """
        with self._lock:
            spent = self._all()
        left = [spare(replace(self.budget, money=None).left(spent))]
        money = replace(self.budget, queries=None)
        alone = money.left(spent)
        if alone is not None and (kept := spare(alone)) is not None:
            reserved = alone - kept  # at the price of each asked alone
            dear, cheap = money.each(spent), money.each(spent, by_batch=True)
            whole = money.left(spent, by_batch=cheap > 0) or 0
            left.append(whole - math.ceil(reserved * dear / (cheap or dear)))
        return min((each for each in left if each is not None), default=None)

    def charge(self, queries: int, *, purpose: Purpose, attempts: int = 0, by_batch: bool = False) -> None:
        """Spend `queries` (images, not calls), and the `attempts` (requests) that carry them.

        Args:
            queries: how many.
            purpose: what for.
            attempts: requests.
            by_batch: whether a batch interface answers, at its price.

        Raises:
            BudgetExhausted: they do not fit; nothing is spent.
            StorageError: the charge cannot be written down; nothing is spent.
        """
        with self._lock:
            self._refuse(queries, attempts, purpose, by_batch=by_batch)
            change = self._book(queries, attempts, purpose, by_batch=by_batch)
        self._keep(change, queries, attempts, purpose, by_batch=by_batch)

    def set_aside(self, queries: int, *, purpose: Purpose) -> None:
        """Keep `queries` of the budget, spent ones excepted, for one purpose: no other may take them."""
        with self._lock:
            self._set_aside[purpose] = queries

    def refund(self, queries: int, *, purpose: Purpose, by_batch: bool = False) -> None:
        """Take back a charge for queries that the oracle provably did not answer; its attempts stay."""
        with self._lock:
            change = self._book(-queries, 0, purpose, by_batch=by_batch)
        self._keep(change, -queries, 0, purpose, by_batch=by_batch)

    def tell(self, usage: Metered) -> None:
        """Count tokens of answers that were charged; on disk when this returns. Raises `StorageError`."""
        with self._disk:
            with self._lock:
                self.traffic.told(usage)
                self._changes += 1
            self._write()

    def as_json(self) -> dict[str, Any]:
        """Contents of `ledger.json`."""
        with self._lock:
            return self._state()

    def save(self) -> None:
        """Write everything that is known by now into the file itself, also where nothing was spent since."""
        if self._file is not None:
            with self._disk:
                self._file.save(self.as_json())

    def _all(self) -> Spent:
        """Everything that was spent. Call it with `_lock`."""
        return Spent(
            queries=sum(self._spent.values()),
            batched=self._batched,
            attempts=self._attempts,
            usage=self.traffic.metered,
        )

    def _refuse(self, queries: int, attempts: int, purpose: Purpose, *, by_batch: bool) -> None:
        """Refuse what does not fit beside all that is kept for others. Call it with `_lock`.

        Raises:
            BudgetExhausted: it does not.
        """
        kept = sum(kept for other, kept in self._set_aside.items() if other is not purpose)
        sends = -(-kept // self.budget.images_per_request)
        spent = self._all().more(kept, attempts=sends)
        if not self.budget.holds(spent.more(queries, attempts=attempts, by_batch=by_batch)):
            left = self.budget.left(spent, by_batch=by_batch) or 0
            _refuse(queries, min(left, queries - 1), purpose, "queries")
        if self.budget.attempts is not None:
            _refuse(attempts, self.budget.attempts - self._attempts, purpose, "requests")

    def _book(self, queries: int, attempts: int, purpose: Purpose, *, by_batch: bool) -> int:
        """Count; the number of this change. Call it with `_lock`."""
        self._spent[purpose] += queries
        self._batched += queries if by_batch else 0
        self._attempts += attempts
        self._changes += 1
        return self._changes

    def _keep(self, change: int, queries: int, attempts: int, purpose: Purpose, *, by_batch: bool) -> None:
        """Bring a change to the disk, unless another thread did so with its own; undo it where that fails."""
        try:
            self._commit.keep(change, self._written)
        except StorageError:
            with self._lock:
                self._book(-queries, -attempts, purpose, by_batch=by_batch)
            raise

    def _written(self) -> int:
        """Write everything counted so far; the number of the last change in it."""
        with self._disk:
            self._write()
            return self._changes_on_disk

    def _write(self) -> None:
        """Write everything counted so far. Call it with `_disk`."""
        with self._lock:
            state = self._state()
        if self._file is not None:
            self._file.put(state)
        if self._told is not None:
            self._told(state)
        self._changes_on_disk = state[CHANGES]

    def _state(self) -> dict[str, Any]:
        spent, budget = self._all(), self.budget
        left, billed = budget.left(spent), budget.billed(spent)
        apart = {
            BATCHED: self._batched,
            BATCH_PRICE: budget.batch_price_per_1000,
            BATCH_DISCOUNT: budget.batch_discount,
        }
        asked_so = self._batched or budget.batch_price_per_1000 is not None or budget.batch_discount is not None
        table = None if budget.prices is None else budget.prices.as_json()
        return {
            "budget": {
                "queries": self.budget.queries,
                "attempts": self.budget.attempts,
                "money": self.budget.money,
                **({} if table is None else {"images_per_request": budget.images_per_request}),
            },
            "spent": {purpose.value: queries for purpose, queries in self._spent.items()},
            "spent_total": spent.queries,
            "left": None if left is None else max(0, left),
            "attempts": self._attempts,
            **self.traffic.as_json(spent.usage),
            PRICE: budget.price_per_1000,
            **(apart if asked_so else {}),
            "price": float(budget.cost(spent)),
            **({} if billed is None else {BILLED: float(billed), PRICES: table}),
            CHANGES: self._changes,
        }


def _refuse(wanted: int, left: int | None, purpose: Purpose, unit: str) -> None:
    if left is not None and wanted > left:
        raise BudgetExhausted(requested=wanted, remaining=max(0, left), purpose=purpose, unit=unit)


def _read(file: LedgerFile | None) -> tuple[dict[Purpose, int], int, int, Traffic, int, Budget]:
    """Return what was spent, by purpose; by batch; the attempts; the traffic; the changes; and the budget."""
    spent = dict.fromkeys(Purpose, 0)
    if file is None or (state := file.read()) is None:
        return spent, 0, 0, Traffic(), 0, Budget()
    try:
        spent |= {Purpose(purpose): count(queries) for purpose, queries in state["spent"].items()}
        refuse_contradiction(state, sum(spent.values()))
        batched, attempts, changes = (count(state.get(name, 0)) for name in (BATCHED, "attempts", CHANGES))
        return spent, batched, attempts, Traffic.from_json(state), changes, Budget.from_json(state)
    except (ValueError, KeyError, TypeError, AttributeError, SpecError) as error:
        raise unreadable(file.path, error) from error
