"""What a ledger's file says: its entries about prices, and whether its parts agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oracles.budget import Budget, Spent
from oracles.traffic import count

PRICE = "price_per_1000"
BATCHED, BATCH_PRICE, BATCH_DISCOUNT = "batched", "batch_price_per_1000", "batch_discount"
"""Entries of a ledger about queries that a batch interface answers; there are none where none is asked so."""

PRICES, BILLED = "prices", "billed"
"""Entries about prices of tokens, images and requests, and what was billed at these; there are none without prices."""


def refuse_contradiction(state: Mapping[str, Any], total: int) -> None:
    """Refuse a state whose parts do not agree, since nobody knows which of them is right; what it leaves out agrees.

    Raises:
        ValueError: its sum is another one, or what is left or paid does not follow from it.
    """
    if state.get("spent_total", total) != total:
        raise ValueError(f"its purposes add up to {total} queries, its spent_total is {state['spent_total']!r}")
    if not 0 <= count(state.get(BATCHED, 0)) <= total:
        raise ValueError(f"{total} queries are spent, its {BATCHED} is {state[BATCHED]!r}")
    budget, spent = Budget.from_json(state), Spent.from_json(state)
    left = budget.left(spent)
    left = None if left is None else max(0, left)
    if state.get("left", left) != left:
        raise ValueError(f"{total} of {budget.limit} queries are spent, its left is {state['left']!r}")
    cost = float(budget.cost(spent))
    if not math.isclose(state.get("price", cost), cost, rel_tol=1e-9):
        raise ValueError(
            f"{total} queries at {budget.price_per_1000} for 1,000 cost {cost}, its price is {state['price']!r}"
        )
    billed = budget.billed(spent)
    if billed is not None and not math.isclose(state.get(BILLED, billed), billed, rel_tol=1e-9):
        raise ValueError(f"its tokens, images and requests cost {float(billed)}, its {BILLED} is {state[BILLED]!r}")


def with_prices(budget: Budget, known: Budget) -> Budget:
    """The budget with prices that were known before, where it states none: of queries, and of tables, go together."""
    silent = budget.price_per_1000 is None and budget.prices is None
    return replace(
        budget,
        price_per_1000=known.price_per_1000 if silent else budget.price_per_1000,
        prices=known.prices if silent else budget.prices,
        batch_price_per_1000=_first(budget.batch_price_per_1000, known.batch_price_per_1000),
        batch_discount=_first(budget.batch_discount, known.batch_discount),
    )


def _first(one: float | None, other: float | None) -> float | None:
    return other if one is None else one
