"""Budget: what may be spent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from oracles.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The hard upper limit on what a run may spend.

    Args:
        queries: images that may be sent to the oracle, None for no limit.
        attempts: requests that may be sent, failed and repeated ones included, None for no limit.
        price_per_1000: price of 1,000 queries, None where queries cost nothing.
        money: what may be paid, in the same currency, None for no limit.
        batch_price_per_1000: price of 1,000 queries that a batch interface answers, None where none is asked so.

    Raises:
        SpecError: a negative or infinite number, or a limit on money without a price.
    """

    queries: int | None = None
    attempts: int | None = None
    price_per_1000: float | None = None
    money: float | None = None
    batch_price_per_1000: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a budget."""
        for name in ("queries", "attempts", "price_per_1000", "money", "batch_price_per_1000"):
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

    def cost(self, total: int, batched: int = 0) -> float:
        """Cost of `total` queries, of which a batch interface answered `batched`."""
        alone = (total - batched) * (self.price_per_1000 or 0.0) / 1000
        return alone + batched * (self.batch_price_per_1000 or 0.0) / 1000

    def left(self, total: int, batched: int = 0, *, by_batch: bool = False) -> int | None:
        """Queries that may still be spent, negative where more is spent already; None for no limit.

        Args:
            total: spent so far.
            batched: those of them that a batch interface answered.
            by_batch: whether it shall answer those that are left.
        """
        limits = [] if self.queries is None else [self.queries - total]
        price = self.batch_price_per_1000 if by_batch else self.price_per_1000
        if self.money is not None and price:
            spent = (total - batched) * decimal(self.price_per_1000) + batched * decimal(self.batch_price_per_1000)
            limits.append(math.floor((decimal(self.money) * 1000 - spent) / decimal(price)))
        return min(limits, default=None)


def decimal(value: float | None) -> Decimal:
    """An amount as it was written, 0 for None."""
    return Decimal(str(value or 0))
