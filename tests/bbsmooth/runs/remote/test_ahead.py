"""The ledger at the URL is charged ahead, within the budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.runs.remote.ahead import LEAST, Credit, precharged
from oracles import Budget, Ledger, Purpose
from oracles.prices import read_prices


def state(spent: int, *, attempts: int = 0, **budget: Any) -> dict[str, Any]:
    ledger = Ledger(Budget(**budget))
    ledger.charge(spent, purpose=Purpose.ESTIMATE, attempts=attempts)
    ledger.charge(1, purpose=Purpose.SELECT)
    return ledger.as_json()


def test_what_is_ahead_is_what_was_spent_and_an_advance() -> None:
    ahead, credit = precharged(state(499, price_per_1000=2.0), 0, at_least=None)
    assert credit == Credit(500 + LEAST, 0)
    assert ahead["spent"]["estimate"] == 499 + LEAST
    assert (ahead["spent"]["select"], ahead["spent_total"], ahead["left"]) == (1, 500 + LEAST, None)
    assert ahead["price"] == (500 + LEAST) * 2 / 1000
    assert ahead["reserved"] == {"queries": LEAST, "attempts": 0}


def test_a_ledger_reads_it_as_spent(tmp_path: Path) -> None:
    ahead, _ = precharged(state(499, queries=100_000), 0, at_least=None)
    (tmp_path / "ledger.json").write_text(json.dumps(ahead))
    ledger = Ledger(Budget(queries=100_000), tmp_path / "ledger.json")
    assert (ledger.total, ledger.remaining) == (500 + LEAST, 100_000 - 500 - LEAST)
    ledger.save()
    assert "reserved" not in json.loads((tmp_path / "ledger.json").read_text())


@pytest.mark.parametrize(("budget", "spent", "taken"), [(10_000, 499, 200), (1_000, 990, 9), (1_000, 999, 0)])
def test_an_advance_takes_a_small_part_of_a_budget_and_never_more_than_is_left(
    budget: int, spent: int, taken: int
) -> None:
    ahead, credit = precharged(state(spent, queries=budget), 5_000, at_least=None)
    assert credit.queries == spent + 1 + taken <= budget
    assert ahead["left"] == budget - credit.queries


def test_money_is_a_budget_too() -> None:
    _, credit = precharged(state(499, price_per_1000=1.0, money=0.51), 5_000, at_least=None)
    assert credit.queries == 510


def test_a_fast_oracle_gets_more() -> None:
    _, credit = precharged(state(499), 7_000, at_least=None)
    assert credit.queries == 500 + 7_000


def test_requests_are_taken_ahead_where_they_are_counted() -> None:
    _, counted = precharged(state(499, attempts=20), 0, at_least=None)
    ahead, limited = precharged(_limited(), 0, at_least=None)
    assert (counted.attempts, limited.attempts) == (20 + LEAST, 22)
    assert ahead["attempts"] == 22


def _limited() -> dict[str, Any]:
    ledger = Ledger(Budget(attempts=100))
    ledger.charge(499, purpose=Purpose.ESTIMATE, attempts=20)
    return ledger.as_json()


def test_an_advance_never_shrinks_below_one_that_may_be_used_already() -> None:
    _, credit = precharged(state(499), 0, at_least=Credit(5_000, 7))
    assert credit == Credit(5_000, 7)


def test_an_advance_covers_until_it_is_used_up_and_wanes_before() -> None:
    since, credit = state(0), Credit(101, 0)
    assert not credit.wanes(state(40), since=since)
    assert credit.wanes(state(60), since=since)
    assert credit.covers(state(100))
    assert not credit.covers(state(101))
    assert not credit.covers(state(1, attempts=1))


@pytest.mark.parametrize(
    "table",
    [
        {"per_million_input_tokens": 7, "max_input_tokens": 100, "per_1000_requests": 0.5},
        {"per_1000_images": [{"up_to": 700, "price": 0}, {"price": 2}]},
    ],
)
def test_a_bill_ahead_is_one_that_a_ledger_reads(tmp_path: Path, table: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"money": 5.0, "prices": read_prices(table)}
    before = state(499, attempts=5, **asked)
    ahead, _ = precharged(before, 0, at_least=None)
    (tmp_path / "ledger.json").write_text(json.dumps(ahead))
    ledger = Ledger(Budget(**asked), tmp_path / "ledger.json")
    assert before["price"] <= ledger.price == ahead["price"] <= 5.0
    assert ledger.as_json()["left"] == ahead["left"]
    assert ledger.billed == ahead["billed"]
