"""What queries cost: as a pilot's replies told, and at most."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, replace

from bbsmooth.certification.forecast import Interval
from bbsmooth.runs.certificates import Record
from bbsmooth.settings.common import OracleConfig
from oracles.budget import Budget, Spent
from oracles.ledger import Ledger
from oracles.usage import NO_USAGE, Metered, Told


@dataclass(frozen=True, slots=True)
class Fare:
    """Price of queries of a run that is still to come.

    Args:
        budget: holds the prices.
        usage: what the replies to a pilot told of their tokens.
    """

    budget: Budget
    usage: Metered = NO_USAGE

    @classmethod
    def of(cls, oracle: OracleConfig, ledger: Ledger | None = None) -> Fare:
        """The fare at the prices of an oracle, with what replies told so far."""
        return cls(replace(oracle, max_price=None).limits, NO_USAGE if ledger is None else ledger.usage)

    def expected(self, queries: float) -> float | None:
        """Price if replies go on as they were, at most where none told anything; None where nobody knows."""
        table = self.budget.prices
        if table is None or (table.by_tokens and not self.usage.total.answers):
            return self.at_most(queries)
        sent = table.sent(math.ceil(queries), math.ceil(queries / self.budget.images_per_request))
        return float(sent + table.tokens(self._told(queries)))

    def at_most(self, queries: float) -> float | None:
        """The most that they can cost, None where nobody knows."""
        if not self.budget.bounded:
            return None
        if self.budget.prices is None:
            return queries * (self.budget.price_per_1000 or 0.0) / 1000
        sends = math.ceil(queries / self.budget.images_per_request)
        most = replace(self.usage, alone=Told(), batched=Told(), without_answer=Told())
        return float(self.budget.cost(Spent(queries=math.ceil(queries), attempts=sends, usage=most)))

    def said(self, queries: int) -> str:
        """The most that they cost, in words that follow their number."""
        most, exactly = self.at_most(queries), self.budget.prices is None
        return "" if most is None else f", which cost {'' if exactly else 'at most '}{most:g}"

    def record(self, queries: Interval) -> Record:
        """The most that they cost, and their usage, where there are prices of tokens, images or requests."""
        if self.budget.prices is None:
            return {}
        told = [self._told(number) for number in astuple(queries)]
        read, written = Interval(*(one.input_tokens for one in told)), Interval(*(one.output_tokens for one in told))
        tokens = {"input_tokens": asdict(read), "output_tokens": asdict(written)} if self.usage.total.answers else {}
        requests = Interval(*(math.ceil(number / self.budget.images_per_request) for number in astuple(queries)))
        return {
            "price_at_most": each(queries, self.at_most),
            "usage": {**tokens, "images": asdict(queries), "requests": asdict(requests)},
        }

    def per_query(self) -> Record:
        """Tokens of one query, as replies told: on average, and at most; nothing where none did."""
        total = self.usage.total
        if not total.answers:
            return {}
        return {
            "input_tokens": total.input_tokens / total.answers,
            "output_tokens": total.output_tokens / total.answers,
            "most_input_tokens": self.usage.most_input,
            "most_output_tokens": self.usage.most_output,
        }

    def _told(self, queries: float) -> Told:
        total = self.usage.total
        share = queries / max(1, total.answers)
        return Told(
            math.ceil(queries),
            math.ceil(total.input_tokens * share),
            math.ceil(total.output_tokens * share),
            math.floor(total.cached_tokens * share),
            math.floor(total.cache_write_tokens * share),
        )


def each(queries: Interval, price: Callable[[float], float | None]) -> Record | None:
    """The price of each end of an interval, None where nobody knows it."""
    found = [price(number) for number in astuple(queries)]
    known = [number for number in found if number is not None]
    return asdict(Interval(*known)) if len(known) == len(found) else None
