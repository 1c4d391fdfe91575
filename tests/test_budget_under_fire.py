"""The budget under threads, failures and kills: never one query over, no answer asked for again, same certificates."""

import errno
import math
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diskcache
import pytest

from bbsmooth.certification import Verdict
from oracles import (
    AnswerError,
    Budget,
    BudgetExhausted,
    Ledger,
    OracleError,
    OracleUnavailable,
    ResponseStore,
    Unanswered,
)
from tests import killed_child
from tests.builders import PLAN, WatchedOracle, by_the_book, halfspace, pictures, verdicts, vote_source
from tests.children import KILLED, Children

SCHEDULES = 1_000
IMAGES = 2


@dataclass
class Fire:
    """Failures at random moments, counted."""

    chance: random.Random
    rate: float = 0.0
    failures: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def strikes(self, share: float = 1.0) -> bool:
        """Whether the next moment is a bad one."""
        bad = self.chance.random() < self.rate * share
        self.failures += bad
        return bad

    def before(self) -> None:
        """The oracle fails without an answer."""
        if self.strikes():
            raise self.chance.choice([Unanswered, OracleUnavailable, AnswerError, RuntimeError])("before the answer")

    def after(self) -> None:
        """The answer exists, and is lost on its way."""
        if self.strikes(0.5):
            raise self.chance.choice([OracleUnavailable, AnswerError, RuntimeError])("after the answer")

    def fsync(self, number: int) -> None:
        """The disk fills up under the ledger."""
        if self.strikes(0.1):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The disk fills up under the record."""
        put = diskcache.Cache.set

        def store(cache: Any, key: bytes, value: bytes) -> bool:
            if self.strikes(0.2):
                raise sqlite3.OperationalError("database or disk is full")
            return bool(put(cache, key, value))

        monkeypatch.setattr(diskcache.Cache, "set", store)


def test_a_thousand_schedules_of_threads_and_failures_keep_every_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fire, store = Fire(random.Random(2026)), ResponseStore(tmp_path / "responses")
    store._cache.reset("sqlite_synchronous", 0)  # no power fails in this test
    monkeypatch.setattr(os, "fsync", fire.fsync)
    monkeypatch.setattr(os, "fdatasync", fire.fsync)
    fire.database(monkeypatch)
    for schedule in range(SCHEDULES):
        endure(schedule, fire, store, tmp_path / f"ledger{schedule}.json")
    assert fire.errors.keys() == {
        "Unanswered", "OracleUnavailable", "AnswerError", "RuntimeError", "StorageError", "BudgetExhausted",
    }  # fmt: skip
    assert min(fire.errors.values()) > SCHEDULES / 20


def endure(schedule: int, fire: Fire, store: ResponseStore, path: Path) -> None:
    """One schedule: run, fail, go on, until the verdicts are there or the budget is spent."""
    chance, oracle = fire.chance, WatchedOracle(halfspace(), before=fire.before, after=fire.after)
    images, queries = pictures(IMAGES, seed=schedule), IMAGES * PLAN.queries
    limit = chance.choice([queries - 1, queries, queries + 20, 200 * queries])
    budget = Budget(queries=limit)
    truth = [
        (index, by_the_book(image, vote_source(halfspace(), store, seed=schedule), halfspace()))
        for index, image in enumerate(images)
    ]
    found, told = list[tuple[int, Verdict]](), set[tuple[bytes, int]]()
    fire.rate, fire.failures, finished = chance.choice([0.02, 0.1, 0.3]), 0, False
    while not finished:
        ledger = Ledger(budget, path)
        source = replace(vote_source(oracle, store, ledger=ledger, seed=schedule), told=told)
        found = []
        try:
            for each in verdicts(
                images,
                source,
                batch_size=chance.choice([1, 3, 8, 64]),
                concurrency=chance.choice([1, 2, 5]),
                remaining=lambda ledger=ledger: ledger.remaining,  # type: ignore[misc]
            ):
                found.append(each)  # what came before an error counts
            finished = True
        except (OracleError, RuntimeError) as error:
            fire.errors[type(error).__name__] += 1
            finished = isinstance(error, BudgetExhausted)
        assert found == truth[: len(found)]
        assert oracle.answered.total() <= Ledger(budget, path).total <= limit
        fire.rate *= 0.97  # so that every schedule ends
    assert max(oracle.answered.values(), default=0) <= 1 + fire.failures
    if fire.failures == 0 and limit >= queries:
        assert oracle.answered.total() == queries
        assert found == truth
    if limit == 200 * queries:
        assert found == truth


@pytest.fixture
def children() -> Iterator[Children]:
    with Children(killed_child.__name__) as running:
        yield running


@pytest.mark.parametrize(
    "kills", [20, pytest.param(250, marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])], ids=str
)
def test_processes_killed_at_any_moment_keep_every_promise(tmp_path: Path, children: Children, kills: int) -> None:
    chance, hits, world = random.Random(7), 0, 0
    while hits < kills:
        folder = tmp_path / f"world{world}"
        folder.mkdir()
        hits += survive(folder, world, children, chance, most=kills - hits)
        world += 1


def survive(folder: Path, seed: int, children: Children, chance: random.Random, *, most: int) -> int:
    """Kill one certification again and again, up to `most` times, let it end, and count the kills."""
    queries = killed_child.IMAGES * PLAN.queries
    budget = chance.choice([queries, queries + 30, 100 * queries])
    hits, status = 0, KILLED
    while status == KILLED:
        kill_after = chance.uniform(0, 0.15) if hits < most else math.inf
        status = children.ended(f"{folder} {seed} {budget} {kill_after}")
        hits += status == KILLED
        check(folder, budget, hits)
    images, source = (
        pictures(killed_child.IMAGES, seed=seed),
        vote_source(halfspace(), ResponseStore(folder / "x"), seed=seed),
    )
    truth = [repr((index, by_the_book(image, source, halfspace()))) for index, image in enumerate(images)]
    found = (folder / "verdicts").read_text().splitlines()
    if status == killed_child.DONE:
        assert found == truth
    else:
        assert status == killed_child.OUT_OF_BUDGET, (folder / "error").read_text()
        assert hits > 0  # only what was in flight at a kill is missing from a budget that was enough
        assert budget < 100 * queries
        assert found == truth[: len(found)]
        assert len(found) < killed_child.IMAGES
    return hits


def check(folder: Path, budget: int, kills: int) -> None:
    """What must hold after every end, however sudden."""
    raw = (folder / "answered").read_bytes() if (folder / "answered").exists() else b""
    answered = Counter(raw[start : start + 32] for start in range(0, len(raw), 32))
    charged = Ledger(Budget(), folder / "ledger.json").total
    in_flight = kills * killed_child.CONCURRENCY * killed_child.BATCH_SIZE
    assert answered.total() <= charged <= budget
    assert max(answered.values(), default=0) <= 1 + kills
    assert charged - len(answered) <= in_flight
    assert answered.total() - len(answered) <= in_flight
