import errno
import json
import os
import random
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from oracles import Budget, BudgetExhausted, Ledger, Purpose, SpecError, StorageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.json"


def hammer(ledger: Ledger, *, threads: int = 16, charges: int = 100) -> int:
    """The queries that were granted to threads that charge and sometimes take back."""
    granted = [0] * threads

    def spend(thread: int) -> None:
        chance = random.Random(thread)
        for _ in range(charges):
            queries, purpose = chance.randint(1, 9), chance.choice(list(Purpose))
            try:
                ledger.charge(queries, purpose=purpose)
            except BudgetExhausted:
                continue
            if chance.random() < 0.2:
                ledger.refund(queries, purpose=purpose)
            else:
                granted[thread] += queries

    workers = [threading.Thread(target=spend, args=[thread]) for thread in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(granted)


def test_threads_that_hammer_a_ledger_spend_the_budget_and_not_one_query_more(path: Path) -> None:
    ledger = Ledger(Budget(queries=1_000), path)
    granted = hammer(ledger)
    while ledger.remaining:
        ledger.charge(1, purpose=Purpose.TUNE)
        granted += 1
    assert granted == ledger.total == 1_000
    with pytest.raises(BudgetExhausted):
        ledger.charge(1, purpose=Purpose.TUNE)
    assert json.loads(path.read_text())["spent_total"] == 1_000


def test_a_ledger_without_a_limit_still_counts_exactly() -> None:
    ledger = Ledger(Budget())
    assert hammer(ledger) == ledger.total
    assert ledger.remaining is None


def test_the_file_says_after_every_step_what_memory_says(path: Path) -> None:
    ledger, chance = Ledger(Budget(queries=200), path), random.Random(1)
    for _ in range(150):
        purpose, queries = chance.choice(list(Purpose)), chance.randint(0, 5)
        if chance.random() < 0.2:
            ledger.refund(min(queries, ledger.spent[purpose]), purpose=purpose)
        else:
            try:
                ledger.charge(queries, purpose=purpose)
            except BudgetExhausted:
                assert ledger.total + queries > 200
        state = json.loads(path.read_text())
        assert state == ledger.as_json()
        assert state["spent"] == ledger.spent
        assert state["spent_total"] + state["left"] == 200
        assert Ledger(Budget(queries=200), path).spent == ledger.spent


def test_what_does_not_fit_is_refused_whole_with_the_numbers(path: Path) -> None:
    ledger = Ledger(Budget(queries=10), path)
    ledger.charge(7, purpose=Purpose.SELECT)
    with pytest.raises(BudgetExhausted, match="4 more queries to estimate do not fit, 3 are left") as stop:
        ledger.charge(4, purpose=Purpose.ESTIMATE)
    assert (stop.value.requested, stop.value.remaining, stop.value.purpose) == (4, 3, "estimate")
    assert ledger.total == 7
    ledger.charge(3, purpose=Purpose.ESTIMATE)
    assert ledger.spent[Purpose.ESTIMATE] == 3


def test_a_budget_of_nothing_grants_nothing() -> None:
    with pytest.raises(BudgetExhausted):
        Ledger(Budget(queries=0)).charge(1, purpose=Purpose.TUNE)


def test_a_smaller_budget_on_resumption_grants_nothing_more(path: Path) -> None:
    Ledger(Budget(queries=100), path).charge(60, purpose=Purpose.TUNE)
    ledger = Ledger(Budget(queries=50), path)
    assert ledger.remaining == -10
    assert ledger.as_json()["left"] == 0
    with pytest.raises(BudgetExhausted, match="0 are left"):
        ledger.charge(1, purpose=Purpose.TUNE)


def test_a_crash_between_writing_and_renaming_leaves_the_old_state(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(Budget(queries=100), path)
    ledger.charge(5, purpose=Purpose.TUNE)

    def crash(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as process:
        process.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            ledger.charge(7, purpose=Purpose.TUNE)
    assert [file.name for file in path.parent.iterdir()].count("ledger.json") == 1
    again = Ledger(Budget(queries=100), path)
    assert again.total == 5  # the 7 were not sent, because `charge` did not return
    again.charge(95, purpose=Purpose.TUNE)
    assert Ledger(Budget(queries=100), path).total == 100


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_a_charge_that_cannot_be_written_down_is_not_spent(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ledger = Ledger(Budget(queries=100), path)
    ledger.charge(5, purpose=Purpose.TUNE)
    with monkeypatch.context() as disk:
        disk.setattr(os if call == "fsync" else Path, call, full)
        with pytest.raises(StorageError, match="No space left on device; nothing was sent"):
            ledger.charge(7, purpose=Purpose.TUNE)
    assert ledger.total == 5
    ledger.charge(95, purpose=Purpose.TUNE)
    assert Ledger(Budget(queries=100), path).total == 100


def test_a_charge_survives_a_power_failure_because_file_and_folder_are_synced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def watched(number: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{number}"))
        fsync(number)

    monkeypatch.setattr(os, "fsync", watched)
    Ledger(Budget(queries=10), path).charge(1, purpose=Purpose.TUNE)
    assert synced == [str(path.with_suffix(".tmp")), str(path.parent)]


GOOD: dict[str, Any] = {"spent": {"tune": 3}}


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", "3", '"spent"', "{}", '{"spent": 3}', '{"spent": null}', '{"spent": [1]}',
        '{"spent": {"sightseeing": 1}}', '{"spent": {"tune": "many"}}', '{"spent": {"tune": null}}',
        '{"spent": {"tune": -5}}', '{"spent": {"tune": 1.5}}', '{"spent": {"tune": true}}', '{"spent": {"tune": NaN}}',
        "\x00\x00\x00\x00", json.dumps(GOOD)[:-2],
    ],
)  # fmt: skip
def test_a_file_that_is_no_ledger_is_never_taken_for_an_empty_one(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(StorageError, match=r"ledger\.json is not a readable ledger"):
        Ledger(Budget(queries=10), path)
    assert path.read_text() == content


def test_bytes_that_are_no_text_and_folders_are_no_ledger(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StorageError):
        Ledger(Budget(), path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError):
        Ledger(Budget(), path)


def test_purposes_that_a_file_leaves_out_were_not_spent_on(path: Path) -> None:
    path.write_text(json.dumps(GOOD))
    assert Ledger(Budget(), path).spent == dict.fromkeys(Purpose, 0) | {Purpose.TUNE: 3}


@pytest.mark.parametrize("money", [0.0, 0.1, 0.3, 1 / 3, 0.7, 1.0, 19.99, 1e-9, 12345.6789, 1e9])
@pytest.mark.parametrize("price", [0.1, 0.3, 1 / 3, 0.7, 1.0, 3.0, 1.5, 0.0007, 99.99])
def test_money_buys_as_many_queries_as_it_pays_for_and_not_one_more(money: float, price: float) -> None:
    limit = Budget(price_per_1000=price, money=money).limit
    assert limit is not None
    # As people write the numbers: 0.1 means one tenth.
    paid, available = Fraction(str(price)) / 1000, Fraction(str(money))
    assert limit * paid <= available < (limit + 1) * paid


def test_the_tighter_of_two_limits_holds(path: Path) -> None:
    assert Budget(queries=100, price_per_1000=1.0, money=0.05).limit == 50
    assert Budget(queries=40, price_per_1000=1.0, money=0.05).limit == 40
    assert Budget(queries=40, price_per_1000=1.0).limit == 40
    assert Budget(price_per_1000=1.0).limit is None
    ledger = Ledger(Budget(price_per_1000=0.3, money=0.1), path)
    ledger.charge(333, purpose=Purpose.TUNE)
    assert ledger.price <= 0.1
    with pytest.raises(BudgetExhausted):
        ledger.charge(1, purpose=Purpose.TUNE)
    assert json.loads(path.read_text())["price"] == pytest.approx(0.0999)


@pytest.mark.parametrize(
    "limits",
    [
        {"queries": -1}, {"money": -0.1, "price_per_1000": 1.0}, {"price_per_1000": -1.0}, {"money": 1.0},
        {"money": 1.0, "price_per_1000": 0.0}, {"money": float("nan"), "price_per_1000": 1.0},
        {"money": float("inf"), "price_per_1000": 1.0}, {"price_per_1000": float("nan")},
        {"price_per_1000": float("inf")},
    ],
)  # fmt: skip
def test_limits_that_are_none_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="budget|money"):
        Budget(**limits)


def test_a_run_that_has_spent_nothing_can_write_its_ledger(path: Path) -> None:
    Ledger(Budget(queries=3), path).save()
    assert json.loads(path.read_text())["left"] == 3
