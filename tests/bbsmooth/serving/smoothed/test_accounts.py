"""Budgets of clients: exact under threads, kept by disks, given back only where nothing was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.serving.refusal import Refusal
from bbsmooth.serving.smoothed.accounts import ClientAccount, opened_accounts
from bbsmooth.serving.smoothed.clients import EVERYBODY, Client, Clients, anybody
from oracles import Budget, Ledger


@contextmanager
def account(budget: int | None, folder: Path | None = None) -> Iterator[ClientAccount]:
    with opened_accounts(anybody(budget=budget, rate=None), Budget(), folder) as (_, accounts):
        yield accounts[EVERYBODY]


def refused(account: ClientAccount, queries: int) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        account.reserve(queries)
    return refusal.value


def test_what_was_not_used_is_given_back() -> None:
    with account(100) as own:
        own.reserve(60)
        assert (own.spent, own.left) == (60, 40)
        own.settle(60, 25)
        assert (own.spent, own.left) == (25, 75)
        own.reserve(75)
        own.settle(75, 75)
        gone = refused(own, 1)
        assert (gone.status, gone.retry_after) == (402, None)
        assert "your budget is spent: this request may take 1 queries, and 0 of 100 are left" in str(gone)


def test_while_others_may_give_back_it_is_too_early_to_tell() -> None:
    with account(100) as own:
        own.reserve(60)
        early = refused(own, 50)
        assert (early.status, early.retry_after) == (429, 1)
        assert refused(own, 101).status == 402
        own.settle(60, 60)
        assert refused(own, 50).status == 402


def test_no_budget_is_no_limit() -> None:
    with account(None) as own:
        own.reserve(10**9)
        assert own.left is None


def test_never_more_than_the_budget_under_many_threads(tmp_path: Path) -> None:
    budget, granted = 10_007, list[int]()

    def client(seed: int) -> None:
        chance = Random(seed)
        for _ in range(25):
            wanted = chance.randint(1, 120)
            try:
                own.reserve(wanted)
            except Refusal:
                continue
            used = chance.randint(0, wanted)
            granted.append(used)
            assert own.spent <= budget
            own.settle(wanted, used)

    with account(budget, tmp_path) as own, ThreadPoolExecutor(16) as pool:
        for done in pool.map(client, range(32)):
            assert done is None
        assert own.spent == sum(granted) <= budget
        left = own.left
        assert left is not None
        own.reserve(left)
        assert refused(own, 1).status == (429 if left else 402)  # all of it is reserved, or, by chance, spent
    assert json.loads((tmp_path / "clients" / f"{EVERYBODY}.json").read_text())["spent_total"] == budget


def test_a_restart_gives_nothing_back(tmp_path: Path) -> None:
    with account(100, tmp_path) as own:
        own.reserve(30)
        own.settle(30, 10)
        own.reserve(60)  # under way when the process dies
    with account(100, tmp_path) as own:
        assert (own.spent, own.left) == (70, 30)
    with account(50, tmp_path) as own:  # a smaller budget than was spent
        assert own.left == 0
        assert refused(own, 1).status == 402


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    with (
        account(100, tmp_path),
        pytest.raises(UsageError, match="is in use by another process; end it, or name another `ledger`"),
        account(100, tmp_path),
    ):
        pass


@pytest.mark.parametrize("place", ["ledger.json", f"clients/{EVERYBODY}.json"])
def test_what_is_no_ledger_is_not_overwritten(tmp_path: Path, place: str) -> None:
    (tmp_path / "clients").mkdir()
    (tmp_path / place).write_text("lost")
    with (
        pytest.raises(UsageError, match="is not a readable ledger .* restore it, or name another `ledger`"),
        account(1, tmp_path),
    ):
        pass
    assert (tmp_path / place).read_text() == "lost"


def test_a_full_disk_charges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with account(100, tmp_path) as own:
        own.reserve(10)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("oracles.ledger_file._pwrite", full)
        assert refused(own, 10).status == 503
        monkeypatch.undo()
        assert own.spent == 10
        own.settle(10, 4)
        assert own.spent == 4


def test_the_ledger_of_a_client_is_an_ordinary_one(tmp_path: Path) -> None:
    with account(100, tmp_path) as own:
        own.reserve(7)
    assert Ledger(Budget(), tmp_path / "clients" / f"{EVERYBODY}.json").total == 7


def many(count: int) -> Clients:
    named = [Client(name=f"client-{number}", budget=1000, rate=None) for number in range(count)]
    return Clients({client.name.encode(): client for client in named})


def open_files(folder: Path) -> int:
    """Files of this process that are open below a folder."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += str(folder) in str(entry.readlink())
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux lists them")
def test_any_number_of_clients_needs_few_files(tmp_path: Path) -> None:
    with opened_accounts(many(300), Budget(), tmp_path, open_files=16) as (_, accounts):
        for _ in range(2):
            for account in accounts.values():
                account.reserve(10)
                account.settle(10, 4)
            assert open_files(tmp_path) <= 16 + 1  # and the lock
        assert {account.spent for account in accounts.values()} == {8}
    with opened_accounts(many(300), Budget(), tmp_path) as (_, accounts):
        assert {account.spent for account in accounts.values()} == {8}


def test_ledgers_that_are_closed_and_opened_by_many_threads_stay_exact(tmp_path: Path) -> None:
    with opened_accounts(many(12), Budget(), tmp_path, open_files=2) as (_, accounts), ThreadPoolExecutor(8) as pool:

        def client(number: int) -> None:
            account = accounts[f"client-{number % 12}"]
            account.reserve(5)
            account.settle(5, 3)

        for done in pool.map(client, range(240)):
            assert done is None
        assert {account.spent for account in accounts.values()} == {60}
    kept = [json.loads(file.read_text())["spent_total"] for file in (tmp_path / "clients").glob("*.json")]
    assert kept == [60] * 12
