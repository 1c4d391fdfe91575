"""Pre-charged credit, the ledger at the URL: what a process may spend before it has to write there again.

A ledger that is behind would let money be spent twice: the process that goes on elsewhere would not know of the last
charges. To write each charge to an object store would cost a round trip for every call of the oracle. So the mirrored
ledger says that some queries more are spent than are (a credit), and charges within the credit need no word there.
A process that ends well leaves the exact ledger; one that is lost leaves its credit charged, and no budget is ever
exceeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oracles import Budget
from oracles.budget import Spent

LEAST = 1000
"""Queries in a credit where the budget is large; about a second of a fast oracle."""

SHARE = 0.02
"""Most of a budget that a credit may take, so that a lost process costs little."""

RESERVED = "reserved"
"""Entry of the mirrored ledger: how much of what it calls spent is a credit."""

State = Mapping[str, Any]
"""What `ledger.json` says."""


@dataclass(frozen=True, slots=True)
class Credit:
    """Queries and requests that a ledger at the URL counts as spent already.

    Attributes:
        queries: in all, spent ones included.
        attempts: requests in all, likewise.
    """

    queries: int
    attempts: int

    def covers(self, state: State) -> bool:
        """True if everything that a ledger has charged is within the credit."""
        return bool(state["spent_total"] <= self.queries and state["attempts"] <= self.attempts)

    def wanes(self, state: State, *, since: State) -> bool:
        """True once more than half of the credit that was taken in the state `since` is used up."""
        return any(
            2 * state[key] > limit + since[key] and limit > since[key]
            for key, limit in (("spent_total", self.queries), ("attempts", self.attempts))
        )


def precharged(state: State, wanted: float, *, at_least: Credit | None) -> tuple[dict[str, Any], Credit]:
    """A ledger with a credit of about `wanted` queries, and requests where any are counted.

    It never exceeds the budget, takes at most `SHARE` of it, and is booked on the purpose that most was spent on.

    Args:
        state: of the ledger.
        wanted: queries that are likely to be charged before the next one.
        at_least: an earlier credit, of which more may be used by now than `state` knows; this one is no smaller.
    """
    budget, total, attempts = state["budget"], state["spent_total"], state["attempts"]
    limit = None if state["left"] is None else total + state["left"]
    before = at_least or Credit(0, 0)
    wanted = max(LEAST, wanted)
    sends = attempts or budget["attempts"] is not None  # an oracle that runs here takes no requests
    queries = max(_within(wanted, total, limit), before.queries - total)
    requests = max(_within(wanted if sends else 0, attempts, budget["attempts"]), before.attempts - attempts)
    spent = dict(state["spent"])
    spent[max(spent, key=spent.__getitem__)] += queries
    prices, gone = Budget.from_json(state), Spent.from_json(state).more(queries, attempts=requests)
    billed, left = prices.billed(gone), prices.left(gone)
    ahead = dict(state) | {
        "spent": spent,
        "spent_total": total + queries,
        "left": None if left is None else max(0, left),
        "attempts": attempts + requests,
        "price": float(prices.cost(gone)),
        **({} if billed is None else {"billed": float(billed)}),
        RESERVED: {"queries": queries, "attempts": requests},
    }
    return ahead, Credit(total + queries, attempts + requests)


def _within(wanted: float, spent: int, limit: int | None) -> int:
    return int(wanted if limit is None else max(0, min(wanted, limit * SHARE, limit - spent)))
