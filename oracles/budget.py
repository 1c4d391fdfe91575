"""Budget: what may be spent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from oracles.errors import SpecError
from oracles.prices import Prices, read_prices
from oracles.usage import NO_USAGE, Metered

_ENDLESS = 10**15
"""Queries of which no budget holds more: where more can be paid for, there is no limit."""

_FREE = Fraction(0)

_NUMBERS = ("queries", "attempts", "price_per_1000", "money", "batch_price_per_1000", "batch_discount")

WORST = (
    "a limit on money needs the most that a query can cost: the price of 1,000 queries, or max_input_tokens and "
    "max_output_tokens among the prices"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Everything that was spent, on which a bill depends.

    Attributes:
        queries: images sent.
        batched: those of them that a batch interface answers.
        attempts: requests sent.
        usage: tokens that replies told of.
    """

    queries: int = 0
    batched: int = 0
    attempts: int = 0
    usage: Metered = NO_USAGE

    def more(self, queries: int, *, attempts: int = 0, by_batch: bool = False) -> Spent:
        """The same and so much more, of which no reply has told anything yet."""
        return Spent(
            queries=self.queries + queries,
            batched=self.batched + (queries if by_batch else 0),
            attempts=self.attempts + attempts,
            usage=self.usage,
        )

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Spent:
        """What the contents of a `ledger.json` say. Raises `ValueError`, `TypeError`, `AttributeError`: no such."""
        return cls(
            queries=sum(state["spent"].values()),
            batched=state.get("batched", 0),
            attempts=state.get("attempts", 0),
            usage=Metered.from_json(state),
        )


NOTHING = Spent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The hard upper limit on what a run may spend.

    With `prices`, what replies tell is counted at these, and a query of which no reply has told its tokens at the most
    that they can cost: `price_per_1000` where it is given, else what `prices` says of a query. A query counts so from
    before it is sent, whether its reply is still to come, tells nothing, or was lost. Without `prices` every query
    costs `price_per_1000`. All of it is exact: no amount is rounded before it is shown.

    Args:
        queries: images that may be sent to the oracle, None for no limit.
        attempts: requests that may be sent, failed and repeated ones included, None for no limit.
        price_per_1000: price of 1,000 queries, None where queries cost nothing or `prices` tells.
        money: what may be paid, in the same currency, None for no limit; it needs one of the prices where it is used.
        batch_price_per_1000: price of 1,000 queries that a batch interface answers, None where none is asked so, or
            where `prices` tells.
        prices: of tokens, images and requests, None where only queries have a price.
        batch_discount: share of `prices` that a batch interface saves, None for nothing.
        images_per_request: with which it is told how many queries are left; what is charged counts as it is.

    Raises:
        SpecError: a negative or infinite number, or a price of queries beside prices that leave nothing unknown.
    """

    queries: int | None = None
    attempts: int | None = None
    price_per_1000: float | None = None
    money: float | None = None
    batch_price_per_1000: float | None = None
    prices: Prices | None = None
    batch_discount: float | None = None
    images_per_request: int = 1
    _each: Fraction | None = field(init=False, repr=False, compare=False)
    _each_by_batch: Fraction | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be a budget."""
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise SpecError(f"a budget's {name} must be a number and not negative, got {value}")
        if self.prices is not None and not self.prices.by_tokens and self.price_per_1000 is not None:
            raise SpecError("give the price of 1,000 queries or a table of prices: of images and requests it tells all")
        each = None if self.price_per_1000 is None else exact(self.price_per_1000) / 1000
        by_batch = None if self.batch_price_per_1000 is None else exact(self.batch_price_per_1000) / 1000
        if by_batch is None and self.prices is not None:
            by_batch = self.prices.discounted(self._share).worst if each is None else each * self._share
        if each is None and self.prices is not None:
            each = self.prices.worst
        object.__setattr__(self, "_each", each)
        object.__setattr__(self, "_each_by_batch", by_batch)

    def check(self) -> None:
        """Refuse a limit on money that cannot be held.

        Raises:
            SpecError: nobody says what a query can cost at most.
        """
        if self.money is not None and self.prices is None and not self.price_per_1000:
            raise SpecError("a limit on money needs the price of 1,000 queries")
        if self.money is not None and not self.bounded:
            raise SpecError(WORST)

    @property
    def bounded(self) -> bool:
        """Whether the most that a query can cost is known."""
        return self._each is not None

    @property
    def limit(self) -> int | None:
        """Queries that may be spent in all, at the most that each can cost; None for no limit."""
        return self.left(NOTHING)

    def billed(self, spent: Spent) -> Fraction | None:
        """Price of what is known to have been billed, None without prices."""
        prices, usage = self.prices, spent.usage
        if prices is None:
            return None
        alone, batched = spent.queries - spent.batched, spent.batched
        told = prices.tokens(usage.alone) + prices.sent(alone, spent.attempts)
        if not (batched or usage.batched.answers):
            return told
        by_batch = prices.discounted(self._share)
        return told + by_batch.tokens(usage.batched) + by_batch.sent(batched, batched)

    def cost(self, spent: Spent) -> Fraction:
        """The most that everything spent can cost: what is known, and of all else the most."""
        alone, batched = spent.queries - spent.batched, spent.batched
        if (known := self.billed(spent)) is None:
            if not (self._each or self._each_by_batch):
                return _FREE
            return alone * (self._each or _FREE) + batched * (self._each_by_batch or _FREE)
        untold = max(0, alone - spent.usage.alone.answers)
        untold_by_batch = max(0, batched - spent.usage.batched.answers)
        return known + untold * self._most(spent) + untold_by_batch * self._most(spent, by_batch=True)

    def each(self, spent: Spent, *, by_batch: bool = False) -> Fraction:
        """The most that one more query can cost, in the dearest tiers."""
        if (prices := self.prices) is None:
            return (self._each_by_batch if by_batch else self._each) or _FREE
        image = Fraction(0) if prices.images is None else prices.images.dearest
        request = Fraction(0) if prices.requests is None else prices.requests.dearest
        sent = self._share * (image + request) if by_batch else image + request / self.images_per_request
        return sent + self._most(spent, by_batch=by_batch)

    def left(self, spent: Spent, *, by_batch: bool = False) -> int | None:
        """Queries that may still be spent, negative where more is spent already; None for no limit.

        Args:
            spent: so far.
            by_batch: whether a batch interface shall answer those that are left.
        """
        limits = [] if self.queries is None else [self.queries - spent.queries]
        if self.money is not None and (each := self.each(spent, by_batch=by_batch)):
            room = exact(self.money) - self.cost(spent)
            linear = self.prices is None or not (self.prices.tiered or self.prices.requests)
            found = math.floor(room / each) if linear or room < 0 else self._searched(spent, by_batch=by_batch)
            limits += [] if found is None else [found]
        return min(limits, default=None)

    def expected_left(self, spent: Spent) -> int | None:
        """Queries that may still be spent if replies go on as they were; `left` where none told its tokens.

        What a query may take at most has to fit all the same before it is sent, so none is left once that does not.
        """
        left, told = self.left(spent), spent.usage.total
        if left is None or left <= 0 or self.prices is None or self.money is None or not told.answers:
            return left
        mean = self.prices.at_most(told.input_tokens, told.output_tokens) / told.answers
        each = self.each(spent) - self._most(spent) + mean
        found = math.floor((exact(self.money) - self.cost(spent)) / each) if each else _ENDLESS
        return max(left, found) if self.queries is None else max(left, min(found, self.queries - spent.queries))

    @property
    def reach(self) -> int | None:
        """Queries beyond which no run can come, however few tokens replies take; None for no limit."""
        limit, prices = self.limit, self.prices
        if limit is None or limit <= 0 or prices is None or not prices.by_tokens:
            return limit
        sent = replace(prices, input_tokens=None, output_tokens=None, cached_tokens=None, cache_write_tokens=None)
        return replace(self, prices=sent, price_per_1000=None, batch_price_per_1000=None).limit

    def holds(self, spent: Spent) -> bool:
        """Whether everything spent is within the limits on queries and money."""
        if self.queries is not None and spent.queries > self.queries:
            return False
        return self.money is None or self.cost(spent) <= exact(self.money)

    @property
    def _share(self) -> Fraction:
        return 1 - exact(self.batch_discount or 0)

    def _most(self, spent: Spent, *, by_batch: bool = False) -> Fraction:
        """The most that the tokens of one query can cost: as stated, or what one reply has cost if that is more."""
        if self.prices is None or not self.prices.by_tokens:
            return Fraction(0)
        stated = (self._each_by_batch if by_batch else self._each) or Fraction(0)
        prices = self.prices.discounted(self._share) if by_batch else self.prices
        return max(stated, prices.at_most(spent.usage.most_input, spent.usage.most_output))

    def _searched(self, spent: Spent, *, by_batch: bool) -> int | None:
        """The most queries that can be paid for, where their price is no multiple of one's."""
        money = exact(self.money or 0)

        def fit(queries: int) -> bool:
            attempts = 0 if by_batch else -(-queries // self.images_per_request)
            return self.cost(spent.more(queries, attempts=attempts, by_batch=by_batch)) <= money

        most = 1
        while fit(most):
            most *= 2
            if most > _ENDLESS:
                return None
        least = most // 2  # fits, or is 0
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (middle, most) if fit(middle) else (least, middle)
        return least

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Budget:
        """What the contents of a `ledger.json` say of it.

        Raises:
            SpecError: they say what cannot be.
        """
        known, prices = state.get("budget", {}), state.get("prices")
        return cls(
            queries=known.get("queries"),
            price_per_1000=state.get("price_per_1000"),
            money=known.get("money"),
            batch_price_per_1000=state.get("batch_price_per_1000"),
            prices=None if prices is None else read_prices(prices),
            batch_discount=state.get("batch_discount"),
            images_per_request=known.get("images_per_request", 1),
        )


def exact(value: float) -> Fraction:
    """An amount as it was written."""
    return Fraction(Decimal(str(value)))
