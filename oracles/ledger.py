"""Budget and ledger: what may be spent, and the durable record of what was."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from oracles.errors import BudgetExhausted, SpecError, StorageError
from oracles.ledger_file import CHANGES, LedgerFile, unreadable
from oracles.traffic import Traffic, count


class Purpose(StrEnum):
    """Purpose of a query."""

    TUNE = "tune"
    SELECT = "select"
    ESTIMATE = "estimate"
    PREDICT = "predict"
    DRIFT = "drift"
    ATTACK = "attack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The hard upper limit on what a run may spend.

    Args:
        queries: images that may be sent to the oracle, None for no limit.
        attempts: requests that may be sent, failed and repeated ones included, None for no limit.
        price_per_1000: price of 1,000 queries, None where queries cost nothing.
        money: what may be paid, in the same currency, None for no limit.

    Raises:
        SpecError: a negative or infinite number, or a limit on money without a price.
    """

    queries: int | None = None
    attempts: int | None = None
    price_per_1000: float | None = None
    money: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a budget."""
        for name in ("queries", "attempts", "price_per_1000", "money"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise SpecError(f"a budget's {name} must be a number and not negative, got {value}")
        if self.money is not None and not self.price_per_1000:
            raise SpecError("a limit on money needs the price of 1,000 queries")

    @property
    def limit(self) -> int | None:
        """Queries that may be spent in all: the tighter of the two limits, None where there is neither."""
        limits = [] if self.queries is None else [self.queries]
        if self.money is not None and self.price_per_1000:
            limits.append(int(Decimal(str(self.money)) * 1000 / Decimal(str(self.price_per_1000))))
        return min(limits, default=None)


class Ledger:
    """Record of what was spent, by purpose; charged before anything is sent, so that a crash can only overstate it.

    Exact under threads. Each charge is on disk (see `LedgerFile`) before `charge` returns; charges that come while the
    disk is busy go there together. One process at a time may hold a ledger file.

    Args:
        budget: the limit.
        path: the file that keeps the record, with what an earlier process spent; None keeps it in memory.
        told: shown what the file says now, before a charge returns; it raises `StorageError` to refuse the charge.

    Attributes:
        budget: as given.
        traffic: what went over the wire; written down along with charges.

    Raises:
        StorageError: the file cannot be read, or is not a ledger.
    """

    def __init__(
        self, budget: Budget, path: Path | None = None, *, told: Callable[[Mapping[str, Any]], None] | None = None
    ) -> None:
        """Go on from what the file says."""
        self._told = told
        self.budget = budget
        self._file = None if path is None else LedgerFile(path)
        self._lock = threading.Lock()  # for what follows
        self._spent, self._attempts, self.traffic, self._changes = _read(self._file)
        self._set_aside: dict[Purpose, int] = {}
        self._disk = threading.Lock()  # for the file and what follows; taken before `_lock`, never after it
        self._changes_on_disk = self._changes

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
        """Queries left, None where there is no limit. Negative if an earlier process had a larger budget."""
        limit = self.budget.limit
        return None if limit is None else limit - self.total

    @property
    def price(self) -> float:
        """Cost of the queries charged so far."""
        return self.total * (self.budget.price_per_1000 or 0.0) / 1000

    def charge(self, queries: int, *, purpose: Purpose, attempts: int = 0) -> None:
        """Spend `queries` (images, not calls), and the `attempts` (requests) that carry them.

        Raises:
            BudgetExhausted: they do not fit; nothing is spent.
            StorageError: the charge cannot be written down; nothing is spent.
        """
        with self._lock:
            kept = sum(kept for other, kept in self._set_aside.items() if other is not purpose)
            _refuse(queries, self.budget.limit, sum(self._spent.values()) + kept, purpose, "queries")
            _refuse(attempts, self.budget.attempts, self._attempts, purpose, "requests")
            change = self._book(queries, attempts, purpose)
        self._keep(change, queries, attempts, purpose)

    def set_aside(self, queries: int, *, purpose: Purpose) -> None:
        """Keep `queries` of the budget, spent ones excepted, for one purpose: no other may take them."""
        with self._lock:
            self._set_aside[purpose] = queries

    def refund(self, queries: int, *, purpose: Purpose) -> None:
        """Take back a charge for queries that the oracle provably did not answer; its attempts stay."""
        with self._lock:
            change = self._book(-queries, 0, purpose)
        self._keep(change, -queries, 0, purpose)

    def as_json(self) -> dict[str, Any]:
        """Contents of `ledger.json`."""
        with self._lock:
            return self._state()

    def save(self) -> None:
        """Write everything that is known by now into the file itself, also where nothing was spent since."""
        if self._file is not None:
            with self._disk:
                self._file.save(self.as_json())

    def _book(self, queries: int, attempts: int, purpose: Purpose) -> int:
        """Count; the number of this change. Call it with `_lock`."""
        self._spent[purpose] += queries
        self._attempts += attempts
        self._changes += 1
        return self._changes

    def _keep(self, change: int, queries: int, attempts: int, purpose: Purpose) -> None:
        """Bring a change to the disk, unless another thread did so with its own; undo it where that fails."""
        with self._disk:
            if self._changes_on_disk >= change:
                return
            try:
                self._write()
            except StorageError:
                with self._lock:
                    self._book(-queries, -attempts, purpose)
                raise

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
        total, limit, price = sum(self._spent.values()), self.budget.limit, self.budget.price_per_1000
        return {
            "budget": {
                "queries": self.budget.queries,
                "attempts": self.budget.attempts,
                "money": self.budget.money,
            },
            "spent": {purpose.value: queries for purpose, queries in self._spent.items()},
            "spent_total": total,
            "left": None if limit is None else max(0, limit - total),
            "attempts": self._attempts,
            **self.traffic.as_json(),
            "price_per_1000": price,
            "price": total * (price or 0.0) / 1000,
            CHANGES: self._changes,
        }


def _refuse_contradiction(state: Mapping[str, Any], total: int) -> None:
    """Refuse a state whose parts do not agree, since nobody knows which of them is right; what it leaves out agrees.

    Raises:
        ValueError: its sum is another one, or what is left or paid does not follow from it.
    """
    if state.get("spent_total", total) != total:
        raise ValueError(f"its purposes add up to {total} queries, its spent_total is {state['spent_total']!r}")
    known, price = state.get("budget", {}), state.get("price_per_1000")
    limit = Budget(queries=known.get("queries"), price_per_1000=price, money=known.get("money")).limit
    left = None if limit is None else max(0, limit - total)
    if state.get("left", left) != left:
        raise ValueError(f"{total} of {limit} queries are spent, its left is {state['left']!r}")
    cost = total * (price or 0.0) / 1000
    if not math.isclose(state.get("price", cost), cost, rel_tol=1e-9):
        raise ValueError(f"{total} queries at {price} for 1,000 cost {cost}, its price is {state['price']!r}")


def _refuse(wanted: int, limit: int | None, spent: int, purpose: Purpose, unit: str) -> None:
    if limit is not None and spent + wanted > limit:
        raise BudgetExhausted(requested=wanted, remaining=max(0, limit - spent), purpose=purpose, unit=unit)


def _read(file: LedgerFile | None) -> tuple[dict[Purpose, int], int, Traffic, int]:
    """Return what was spent, by purpose; the attempts; the traffic; and how many changes that took."""
    spent = dict.fromkeys(Purpose, 0)
    if file is None or (state := file.read()) is None:
        return spent, 0, Traffic(), 0
    try:
        spent |= {Purpose(purpose): count(queries) for purpose, queries in state["spent"].items()}
        _refuse_contradiction(state, sum(spent.values()))
        return spent, count(state.get("attempts", 0)), Traffic.from_json(state), count(state.get(CHANGES, 0))
    except (ValueError, KeyError, TypeError, AttributeError, SpecError) as error:
        raise unreadable(file.path, error) from error
