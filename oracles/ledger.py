"""Budget and ledger: what may be spent, and the durable record of what was."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from oracles.errors import BudgetExhausted, SpecError, StorageError


class Purpose(StrEnum):
    """What a query is for."""

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
        price_per_1000: price of 1,000 queries, None where queries cost nothing.
        money: what may be paid, in the same currency, None for no limit.

    Raises:
        SpecError: a negative or infinite number, or a limit on money without a price.
    """

    queries: int | None = None
    price_per_1000: float | None = None
    money: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a budget."""
        for name in ("queries", "price_per_1000", "money"):
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
    """What was spent, by purpose; charged before anything is sent, so that a crash can only overstate it.

    Exact under threads. Each charge is on disk (written aside, synced, renamed, the folder synced) before `charge`
    returns; one process at a time may hold a ledger file.

    Args:
        budget: the limit.
        path: the file that keeps the record, with what an earlier process spent; None keeps it in memory.

    Raises:
        StorageError: the file cannot be read, or is not a ledger.
    """

    def __init__(self, budget: Budget, path: Path | None = None) -> None:
        """Go on from what the file says."""
        self.budget = budget
        self._path = path
        self._lock = threading.Lock()
        self._spent = dict.fromkeys(Purpose, 0)
        if path is not None and path.exists():
            self._spent |= _read(path)

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
    def remaining(self) -> int | None:
        """Queries left, None where there is no limit. Negative if an earlier process had a larger budget."""
        limit = self.budget.limit
        return None if limit is None else limit - self.total

    @property
    def price(self) -> float:
        """What the queries charged so far cost."""
        return self.total * (self.budget.price_per_1000 or 0.0) / 1000

    def charge(self, queries: int, *, purpose: Purpose) -> None:
        """Spend `queries` (images, not calls).

        Raises:
            BudgetExhausted: they do not fit; nothing is spent.
            StorageError: the charge cannot be written down; nothing is spent.
        """
        with self._lock:
            limit, total = self.budget.limit, sum(self._spent.values())
            if limit is not None and total + queries > limit:
                raise BudgetExhausted(requested=queries, remaining=max(0, limit - total), purpose=purpose)
            self._book(queries, purpose)

    def refund(self, queries: int, *, purpose: Purpose) -> None:
        """Take back a charge for queries that the oracle provably did not answer."""
        with self._lock:
            self._book(-queries, purpose)

    def as_json(self) -> dict[str, Any]:
        """What `ledger.json` says."""
        with self._lock:
            return self._state()

    def save(self) -> None:
        """Write the file, also where nothing was spent yet."""
        with self._lock:
            self._write()

    def _book(self, queries: int, purpose: Purpose) -> None:
        self._spent[purpose] += queries
        try:
            self._write()
        except StorageError:
            self._spent[purpose] -= queries
            raise

    def _state(self) -> dict[str, Any]:
        total, limit, price = sum(self._spent.values()), self.budget.limit, self.budget.price_per_1000
        return {
            "budget": {"queries": self.budget.queries, "money": self.budget.money},
            "spent": {purpose.value: queries for purpose, queries in self._spent.items()},
            "spent_total": total,
            "left": None if limit is None else max(0, limit - total),
            "attempts": 0,
            "retries": 0,
            "bytes": 0,
            "price_per_1000": price,
            "price": total * (price or 0.0) / 1000,
        }

    def _write(self) -> None:
        if self._path is None:
            return
        aside = self._path.with_suffix(".tmp")
        try:
            with aside.open("w") as file:
                json.dump(self._state(), file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise StorageError(f"cannot write the ledger {self._path}: {error.strerror}; nothing was sent") from error


def _sync(folder: Path) -> None:
    """Bring a rename in a folder to the disk: a file's own sync does not."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _read(path: Path) -> dict[Purpose, int]:
    try:
        spent = {Purpose(purpose): queries for purpose, queries in json.loads(path.read_text())["spent"].items()}
        if any(type(queries) is not int or queries < 0 for queries in spent.values()):
            raise ValueError("a number of queries is not one")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} is not a readable ledger ({error}); nothing may be spent on its account") from error
    return spent
