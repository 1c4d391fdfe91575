import errno
import json
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from oracles import Budget, BudgetExhausted, Ledger, Purpose, SpecError, StorageError
from oracles.ledger_file import checksum
from tests.waiting import LONG


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
        assert state == ledger.as_json() | {"checksum": checksum(state)}
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


@pytest.mark.parametrize("charges_before", [0, 1, 2, 3])
@pytest.mark.parametrize("moment", ["fsync", "fdatasync", "replace", "pwrite"])
def test_a_crash_in_the_middle_of_a_charge_can_only_overstate_what_was_spent(
    path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, charges_before: int
) -> None:
    ledger = Ledger(Budget(queries=100), path)
    ledger.save()
    for _ in range(charges_before):
        ledger.charge(5, purpose=Purpose.TUNE)

    def crash(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as process:
        process.setattr(os, moment, crash)
        with suppress(KeyboardInterrupt):
            ledger.charge(7, purpose=Purpose.TUNE)  # a later one needs neither `fsync` nor `replace`
    again = Ledger(Budget(queries=100), path)
    assert again.total in (5 * charges_before, 5 * charges_before + 7)
    again.charge(93 - 5 * charges_before, purpose=Purpose.TUNE)
    assert Ledger(Budget(queries=100), path).total in (93, 100)


@pytest.mark.parametrize(
    ("charges_before", "call"),
    [(0, "fsync"), (0, "replace"), (0, "open"), (0, "pwrite"), (1, "fdatasync"), (1, "pwrite"), (4, "fdatasync")],
)
def test_a_charge_that_cannot_be_written_down_is_not_spent(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str, charges_before: int
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ledger = Ledger(Budget(queries=100), path)
    for _ in range(charges_before):
        ledger.charge(5, purpose=Purpose.TUNE)
    with monkeypatch.context() as disk:
        disk.setattr(os, call, full)
        with pytest.raises(StorageError, match="No space left on device; nothing was sent"):
            ledger.charge(7, purpose=Purpose.TUNE)
    assert ledger.total == 5 * charges_before
    ledger.charge(100 - 5 * charges_before, purpose=Purpose.TUNE)
    assert Ledger(Budget(queries=100), path).total == 100


def test_the_first_charge_syncs_files_and_their_names_and_later_ones_sync_just_the_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def watched(sync: Callable[[int], None]) -> Callable[[int], None]:
        def watch(number: int) -> None:
            synced.append(Path(os.readlink(f"/proc/self/fd/{number}")).name)
            sync(number)

        return watch

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    ledger = Ledger(Budget(queries=10), path)
    ledger.charge(1, purpose=Purpose.TUNE)
    assert synced == ["ledger.tmp", path.parent.name, "ledger.journal", path.parent.name]
    ledger.charge(1, purpose=Purpose.TUNE)
    ledger.charge(1, purpose=Purpose.TUNE)
    assert synced[4:] == ["ledger.journal"] * 2
    ledger.save()
    assert synced[6:] == ["ledger.tmp", path.parent.name]
    assert [file.name for file in path.parent.iterdir()] == ["ledger.json"]


@pytest.mark.parametrize("charges", [2, 3, 4, 9])
@pytest.mark.parametrize("file", [b"", b"\0" * 4096, b'{"spent": {"tune', "older"], ids=str)
def test_after_a_power_failure_the_journal_knows_what_the_file_has_lost(
    path: Path, charges: int, file: bytes | str
) -> None:
    """What is in the file, which nobody has synced since the first charge, may be anything."""
    ledger = Ledger(Budget(), path)
    ledger.charge(1, purpose=Purpose.TUNE, attempts=1)
    older = path.read_bytes()
    for _ in range(charges - 1):
        ledger.charge(1, purpose=Purpose.TUNE, attempts=1)
    path.write_bytes(older if isinstance(file, str) else file)
    again = Ledger(Budget(), path)
    assert (again.total, again.attempts) == (charges, charges)
    again.charge(1, purpose=Purpose.TUNE)
    assert Ledger(Budget(), path).total == json.loads(path.read_text())["spent_total"] == charges + 1


@pytest.mark.parametrize("torn", range(0, 900, 37))
def test_a_torn_write_spoils_the_charge_that_had_not_returned_and_no_other(path: Path, torn: int) -> None:
    ledger, journal = Ledger(Budget(), path), path.with_suffix(".journal")
    for _ in range(5):
        ledger.charge(1, purpose=Purpose.TUNE)
    before, file = journal.read_bytes(), path.read_bytes()
    ledger.charge(1, purpose=Purpose.TUNE)
    after = journal.read_bytes()
    changed = next(place for place, (old, new) in enumerate(zip(before, after, strict=True)) if old != new)
    cut = changed + torn
    journal.write_bytes(after[:cut] + before[cut:])
    for content in (file, b""):
        path.write_bytes(content)
        assert Ledger(Budget(), path).total in (5, 6)
    journal.write_bytes(after)
    assert Ledger(Budget(), path).total == 6


def test_an_old_journal_does_not_win_over_a_newer_file(path: Path) -> None:
    ledger, journal = Ledger(Budget(), path), path.with_suffix(".journal")
    for _ in range(3):
        ledger.charge(1, purpose=Purpose.TUNE)
    old = journal.read_bytes()
    ledger.charge(1, purpose=Purpose.TUNE)
    ledger.refund(3, purpose=Purpose.TUNE)
    ledger.save()
    journal.write_bytes(old)
    assert Ledger(Budget(), path).total == 1


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
        Ledger(Budget(**limits))


def test_a_run_that_has_spent_nothing_can_write_its_ledger(path: Path) -> None:
    Ledger(Budget(queries=3), path).save()
    assert json.loads(path.read_text())["left"] == 3


def test_a_limit_on_requests_holds_beside_the_one_on_queries(path: Path) -> None:
    ledger = Ledger(Budget(queries=100, attempts=3), path)
    for _ in range(2):
        ledger.charge(5, purpose=Purpose.TUNE, attempts=1)
    ledger.refund(5, purpose=Purpose.TUNE)  # its request was sent all the same
    ledger.charge(1, purpose=Purpose.TUNE, attempts=1)
    with pytest.raises(BudgetExhausted, match="1 more requests to tune do not fit, 0 are left"):
        ledger.charge(1, purpose=Purpose.TUNE, attempts=1)
    assert (ledger.total, ledger.attempts) == (6, 3)
    with pytest.raises(BudgetExhausted, match="95 more queries"):
        ledger.charge(95, purpose=Purpose.TUNE)
    assert Ledger(Budget(), path).attempts == 3


def test_traffic_is_written_along_with_charges_and_goes_on_after_a_resumption(path: Path) -> None:
    ledger = Ledger(Budget(queries=100), path)
    ledger.traffic.exchanged(100, 1_000, 0.25)
    ledger.traffic.retried()
    assert not path.exists()
    ledger.charge(1, purpose=Purpose.TUNE, attempts=1)
    again = Ledger(Budget(queries=100), path)
    again.traffic.exchanged(10, 10, 0.25)
    again.save()
    state = json.loads(path.read_text())
    assert (state["attempts"], state["retries"], state["bytes"]) == (1, 1, 1_120)
    assert (state["bytes_sent"], state["bytes_received"]) == (110, 1_010)
    assert state["latency"]["p50"] == pytest.approx(0.25, rel=0.05)
    assert sum(state["latency_bins"].values()) == 2


def test_a_ledger_of_an_earlier_version_is_read(path: Path) -> None:
    path.write_text(json.dumps(GOOD | {"attempts": 0, "retries": 0, "bytes": 0}))
    assert Ledger(Budget(), path).attempts == 0


@pytest.mark.parametrize("wrong", [{"attempts": -1}, {"attempts": "2"}, {"retries": None}, {"latency_bins": [1]}])
def test_a_file_with_impossible_traffic_is_no_ledger(path: Path, wrong: dict[str, Any]) -> None:
    path.write_text(json.dumps(GOOD | wrong))
    with pytest.raises(StorageError, match=r"ledger\.json is not a readable ledger"):
        Ledger(Budget(), path)


def test_charges_that_come_while_the_disk_is_busy_go_there_together(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, synced, fdatasync = Ledger(Budget(queries=17), path), list[int](), os.fdatasync
    ledger.charge(1, purpose=Purpose.TUNE)

    def slow(number: int) -> None:
        synced.append(number)
        while len(synced) == 1 and ledger.total < 17:
            time.sleep(0.001)  # until the other fifteen have come
        fdatasync(number)

    monkeypatch.setattr(os, "fdatasync", slow)
    states = list[int]()

    def spend() -> None:
        ledger.charge(1, purpose=Purpose.TUNE)
        states.append(json.loads(path.read_text())["spent_total"])

    threads = [threading.Thread(target=spend) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert len(synced) == 2  # one for the first, one for all others
    assert min(states) >= 2
    assert sorted(states)[1:] == [17] * 15
    with pytest.raises(BudgetExhausted):
        ledger.charge(1, purpose=Purpose.TUNE)


def test_of_charges_that_go_to_a_full_disk_together_none_is_spent(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, refused, chance = Ledger(Budget(queries=10_000), path), list[int](), random.Random(1)
    granted, fdatasync = list[int](), os.fdatasync
    ledger.charge(1, purpose=Purpose.TUNE)

    def failing(number: int) -> None:
        if chance.random() < 0.3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fdatasync(number)

    monkeypatch.setattr(os, "fdatasync", failing)

    def spend() -> None:
        for _ in range(30):
            try:
                ledger.charge(3, purpose=Purpose.TUNE, attempts=1)
                granted.append(3)
            except StorageError:
                refused.append(3)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert len(granted) + len(refused) == 240
    assert refused
    assert ledger.total == sum(granted) + 1
    assert ledger.attempts == len(granted)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    ledger.charge(1, purpose=Purpose.TUNE)
    assert Ledger(Budget(), path).total == sum(granted) + 2


def test_prices_hold_until_another_one_is_said(path: Path) -> None:
    ledger = Ledger(Budget(price_per_1000=10.0, batch_price_per_1000=5.0), path)
    ledger.charge(3, purpose=Purpose.DRIFT)
    ledger.charge(10, purpose=Purpose.SELECT, by_batch=True)
    for budget in (Budget(), Budget(queries=100)):
        resumed = Ledger(budget, path)
        resumed.charge(1, purpose=Purpose.DRIFT)
    assert resumed.price == pytest.approx(5 * 0.01 + 10 * 0.005)
    resumed.save()
    state = json.loads(path.read_text())
    assert (state["price_per_1000"], state["batch_price_per_1000"], state["price"]) == (10.0, 5.0, resumed.price)
    assert Ledger(Budget(price_per_1000=20.0), path).price == pytest.approx(5 * 0.02 + 10 * 0.005)
    assert Ledger(Budget(price_per_1000=0.0, batch_price_per_1000=0.0), path).price == 0
