"""A limit on money holds in every schedule of replies, errors and kills; what is counted is what a vendor bills."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import Budget, BudgetExhausted, Ledger, Purpose, RecordDamaged, SpecError
from oracles.budget import Spent, exact
from oracles.prices import Prices, read_prices
from oracles.usage import Metered, Told, Usage

MOST_IN, MOST_OUT = 30, 5
TOKENS = {
    "per_million_input_tokens": 700,
    "per_million_output_tokens": 3000,
    "max_input_tokens": MOST_IN,
    "max_output_tokens": MOST_OUT,
}
TABLES: list[dict[str, Any]] = [
    TOKENS,
    TOKENS | {"per_1000_images": 0.3, "per_1000_requests": 0.7},
    {"per_1000_images": [{"up_to": 5, "price": 0}, {"up_to": 9, "price": 90}, {"price": 10}], "used": {"images": 2}},
    TOKENS | {"per_million_input_tokens": [{"up_to": 90, "price": 900}, {"price": 100}]},
    {"per_1000_requests": 30},
]


@dataclass
class World:
    """A vendor that bills each reply, and processes that ask it and die.

    Attributes:
        folder: of the ledger.
        budget: its limits and prices.
        flying: (queries, by batch) of each request under way.
        told: usage of each reply that tells, by batch or not; `silent` queries were answered without.
    """

    folder: Path
    budget: Budget
    flying: list[tuple[int, bool]] = field(default_factory=list)
    answered: dict[bool, list[Usage]] = field(default_factory=lambda: {False: [], True: []})
    images: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    requests: int = 0
    charged: int = 0
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A process begins, on what is on disk."""
        self.ledger = Ledger(self.budget, self.folder / "ledger.json")

    def ask(self, queries: int, by_batch: bool) -> None:
        """A request leaves if it may."""
        before = self.ledger.as_json()
        try:
            attempts = queries if by_batch and self.budget.prices and self.budget.prices.requests else 1
            self.ledger.charge(queries, purpose=Purpose.ESTIMATE, attempts=attempts, by_batch=by_batch)
        except BudgetExhausted:
            assert self.ledger.as_json() == before
            assert not self.budget.holds(Spent.from_json(before).more(queries, attempts=attempts, by_batch=by_batch)), (
                "what fits is let through"
            )
            return
        self.flying.append((queries, by_batch))
        self.charged += queries
        self.requests += 0 if by_batch else 1

    def reply(self, place: int, usage: list[Usage] | None) -> None:
        """A vendor answers all queries of a request, and bills them; the reply may tell what they took, or be lost."""
        if not self.flying:
            return
        queries, by_batch = self.flying.pop(place % len(self.flying))
        real = [usage[number % len(usage)] if usage else Usage(MOST_IN, MOST_OUT) for number in range(queries)]
        self.answered[by_batch] += real
        self.images[by_batch] += queries
        if usage is None:
            return  # lost, or silent
        for one in real:
            metered = Metered.of(one, by_batch=by_batch, answered=one.output_tokens > 0)
            self.ledger.tell(metered) if by_batch else self.ledger.traffic.told(metered)

    def refuse(self, place: int) -> None:
        """A vendor turns a request away, and bills nothing."""
        if self.flying:
            queries, by_batch = self.flying.pop(place % len(self.flying))
            self.charged -= queries
            self.ledger.refund(queries, purpose=Purpose.ESTIMATE, by_batch=by_batch)

    def kill(self, *, answered: bool) -> None:
        """The process dies; what was under way may be answered all the same."""
        for queries, by_batch in self.flying:
            if answered:
                self.answered[by_batch] += [Usage(MOST_IN, MOST_OUT)] * queries
                self.images[by_batch] += queries
        self.flying.clear()
        self.start()

    def bill(self) -> Fraction:
        """What the vendor bills."""
        assert self.budget.prices is not None
        prices, share = self.budget.prices, 1 - exact(self.budget.batch_discount or 0)
        tokens = {
            by_batch: prices.tokens(sum((Told.of(one) for one in usages), Told()))
            for by_batch, usages in self.answered.items()
        }
        alone = prices.sent(self.images[False], self.requests)
        return tokens[False] + alone + share * (tokens[True] + prices.sent(self.images[True], self.images[True]))

    def check(self) -> None:
        """The promise, and that what is on disk says no less."""
        assert self.bill() <= self.budget.cost(Spent.from_json(self.ledger.as_json())) <= exact(self.budget.money or 0)
        under_way = sum(queries for queries, _ in self.flying)
        assert self.ledger.usage.total.answers + under_way <= self.ledger.total == self.charged


USAGE = st.builds(Usage, st.integers(0, MOST_IN), st.integers(0, MOST_OUT))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 6), st.booleans()),
        st.tuples(st.just("reply"), st.integers(0, 9), st.none() | st.lists(USAGE, min_size=1, max_size=3)),
        st.tuples(st.just("refuse"), st.integers(0, 9), st.none()),
        st.tuples(st.just("kill"), st.booleans(), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(table=st.sampled_from(TABLES), steps=STEPS, cents=st.integers(0, 60), discount=st.sampled_from([0.0, 0.5, 0.3]))
def test_no_schedule_costs_more_than_it_may(
    table: dict[str, Any], steps: list[Any], cents: int, discount: float
) -> None:
    prices = read_prices(table)
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), Budget(money=cents / 100, prices=prices, batch_discount=discount))
        for kind, first, second in steps:
            if kind == "ask":
                world.ask(first, second and not prices.tiered)
            elif kind == "reply":
                world.reply(first, second)
            elif kind == "refuse":
                world.refuse(first)
            else:
                world.kill(answered=first)
            world.check()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("per_request", [1, 4])
def test_what_is_left_is_all_that_fits(table: dict[str, Any], per_request: int) -> None:
    for cents in (0, 1, 7, 50):
        budget = Budget(money=cents / 100, prices=read_prices(table), images_per_request=per_request)
        spent = Spent(queries=3, attempts=3, usage=Metered.of(Usage(4, 1)))
        left = budget.left(spent)
        assert left is not None
        sends = -(-max(0, left) // per_request)
        if left >= 0:
            assert budget.holds(spent.more(left, attempts=sends))
            assert not budget.holds(spent.more(left + 1, attempts=-(-(left + 1) // per_request)))
        else:
            assert not budget.holds(spent)


def budget(money: float | None = None, **table: Any) -> Budget:
    return Budget(money=money, prices=read_prices(TOKENS | table))


def test_replies_give_back_what_they_did_not_take() -> None:
    worst = Fraction(MOST_IN * 700 + MOST_OUT * 3000, 10**6)
    ledger = Ledger(budget(float(2 * worst)))
    ledger.charge(2, purpose=Purpose.ESTIMATE)
    with pytest.raises(BudgetExhausted, match="1 more queries to estimate do not fit, 0 are left"):
        ledger.charge(1, purpose=Purpose.ESTIMATE)
    for _ in range(2):
        ledger.traffic.told(Metered.of(Usage(10, 1)))
    each = Fraction(10 * 700 + 3000, 10**6)
    assert (ledger.price, ledger.billed) == (float(2 * each), float(2 * each))
    assert ledger.as_json()["left"] == int((2 * worst - 2 * each) / worst) == 1
    assert ledger.remaining == int((2 * worst - 2 * each) / each), "if replies go on like that"
    ledger.charge(1, purpose=Purpose.ESTIMATE)
    assert ledger.price == float(2 * each + worst)
    assert ledger.billed == float(2 * each)


def test_a_reply_that_took_more_than_was_stated_raises_what_is_reserved() -> None:
    ledger = Ledger(budget(1.0))
    ledger.charge(1, purpose=Purpose.ESTIMATE)
    ledger.traffic.told(Metered.of(Usage(10 * MOST_IN, MOST_OUT)))
    dear = Fraction(10 * MOST_IN * 700 + MOST_OUT * 3000, 10**6)
    assert ledger.as_json()["left"] == ledger.remaining == int((1 - dear) / dear)
    ledger.charge(1, purpose=Purpose.ESTIMATE)
    assert ledger.price == float(2 * dear)


def test_no_query_is_left_once_the_most_that_it_can_take_does_not_fit() -> None:
    worst = Fraction(MOST_IN * 700 + MOST_OUT * 3000, 10**6)
    ledger = Ledger(budget(float(3 * worst), per_1000_requests=0.001))
    ledger.charge(1, purpose=Purpose.ESTIMATE, attempts=1)
    ledger.traffic.told(Metered.of(Usage(0, 0)))
    while (left := ledger.remaining) is not None and left > 0:
        ledger.charge(1, purpose=Purpose.ESTIMATE, attempts=1)
        assert ledger.total < 4
    assert 0 < 3 * worst - exact(ledger.price) < worst + Fraction(1, 10**5)
    assert budget(1e-9).reach == 0
    assert budget(1.0).reach is None
    assert Budget(queries=9, money=1.0, prices=read_prices(TOKENS)).reach == 9
    assert budget(1.0, per_1000_images=1).reach == 1000


def test_the_price_of_queries_stands_for_replies_that_do_not_tell() -> None:
    prices = read_prices({"per_million_input_tokens": 700, "per_million_output_tokens": 3000})
    ledger = Ledger(Budget(money=1.0, prices=prices, price_per_1000=100.0))
    ledger.charge(10, purpose=Purpose.ESTIMATE)
    assert (ledger.price, ledger.billed, ledger.remaining) == (1.0, 0.0, 0)
    ledger.traffic.told(Metered.of(Usage(10, 1)))
    assert ledger.price == float(Fraction(9, 10) + Fraction(10_000, 10**6))
    assert Ledger(Budget(prices=prices)).price == 0.0


def test_a_limit_that_nobody_can_hold_is_refused() -> None:
    prices = read_prices({"per_million_input_tokens": 700})
    with pytest.raises(SpecError, match="max_input_tokens and max_output_tokens among the prices"):
        Ledger(Budget(money=1.0, prices=prices))
    with pytest.raises(SpecError, match="needs the price of 1,000 queries"):
        Ledger(Budget(money=1.0))
    with pytest.raises(SpecError, match="of images and requests it tells all"):
        Budget(prices=read_prices({"per_1000_images": 1}), price_per_1000=1.0)


def test_money_on_disk_follows_from_counts(tmp_path: Path) -> None:
    path, prices = tmp_path / "ledger.json", read_prices(TABLES[1])
    with_batch = Budget(money=5.0, prices=prices, batch_discount=0.5)
    ledger = Ledger(with_batch, path)
    ledger.charge(4, purpose=Purpose.SELECT, attempts=2)
    ledger.charge(6, purpose=Purpose.ESTIMATE, attempts=1, by_batch=True)
    ledger.traffic.told(Metered.of(Usage(20, 2), answered=False))
    ledger.tell(sum_of(6))
    ledger.save()
    state = ledger.as_json()
    spent = Spent.from_json(state)
    assert Budget.from_json(state) == with_batch
    assert state["usage"]["without_answer"] == {"answers": 1, "input_tokens": 20, "output_tokens": 2}
    assert state["usage"]["batched"] == {"answers": 6, "input_tokens": 60, "output_tokens": 6}
    sent = 4 * Fraction(3, 10_000) + 3 * Fraction(7, 10_000) + Fraction(1, 2) * 6 * Fraction(10, 10_000)
    tokens = price(prices, 20, 2) + Fraction(1, 2) * price(prices, 60, 6)
    assert with_batch.billed(spent) == sent + tokens
    assert with_batch.cost(spent) == sent + tokens + 3 * price(prices, MOST_IN, MOST_OUT)
    assert Ledger(Budget(prices=prices), path).budget.batch_discount == 0.5, "what is batched keeps its price"


def sum_of(answers: int) -> Metered:
    told = Metered()
    for _ in range(answers):
        told += Metered.of(Usage(10, 1), by_batch=True)
    return told


def price(prices: Prices, read: int, written: int) -> Fraction:
    return prices.tokens(Told(1, read, written))


@pytest.mark.parametrize(("name", "value"), [("billed", 0.5), ("price", 0.5), ("left", 7), ("prices", {"a": 1})])
def test_a_bill_that_does_not_follow_from_its_counts_is_refused(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "ledger.json"
    ledger = Ledger(budget(1.0), path)
    ledger.charge(3, purpose=Purpose.SELECT)
    ledger.traffic.told(Metered.of(Usage(20, 2)))
    ledger.save()
    state = json.loads(path.read_text())
    del state["checksum"]
    path.write_text(json.dumps(state | {name: value}))
    with pytest.raises(RecordDamaged, match="not a readable ledger"):
        Ledger(budget(1.0), path)


def test_what_a_cache_gives_at_no_discount_bounds_a_batch() -> None:
    """Where only tokens of a cache are billed, a batch takes nothing off them; the worst case must not either."""
    table = {"per_million_cached_tokens": 1_000_000, "per_million_output_tokens": 0, "max_input_tokens": 10}
    held = Budget(prices=read_prices(table), batch_discount=0.5, money=100)
    assert held.left(Spent(), by_batch=True) == 10
    usage = Metered.of(Usage(10, 0, cached_tokens=10), by_batch=True)
    assert held.billed(Spent(queries=1, batched=1, attempts=1, usage=usage)) == 10
