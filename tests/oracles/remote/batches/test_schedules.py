"""Sampled schedules of deaths and faults: whatever goes wrong and whenever, nothing is paid twice and nothing is lost.

A schedule is a vendor that fails, expires, loses replies, is busy and sends results that cannot be read, each as often
as was drawn, and processes that die at drawn steps: before or after any change of ledger, journal or record and any
request. `BBSMOOTH_SCHEDULES=N` runs N of them.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from oracles import Budget, OracleUnavailable
from oracles.remote.batches.client import APPEARS_SECONDS
from tests.oracles.remote.batches.desk import Death, Desk, Run, check_votes, ledger, pieces

TOTAL = 2 * (3 + 5)
BUDGET = 40 * TOTAL
FEW, MANY = 8, int(os.environ.get("BBSMOOTH_SCHEDULES", "100"))


@pytest.mark.parametrize(
    "schedules",
    [range(FEW), pytest.param(range(FEW, FEW + MANY), marks=[pytest.mark.slow, pytest.mark.timeout(3_000)])],
)
def test_every_schedule_ends_with_every_answer_paid_once(tmp_path: Path, schedules: range) -> None:
    deaths = faults = 0
    for seed in schedules:
        died, failed = survived(tmp_path / str(seed), seed)
        deaths, faults = deaths + died, faults + failed
    print(f"{len(schedules)} schedules, {deaths} deaths, {faults} questions failed or could not be read")
    assert deaths >= len(schedules)
    assert faults >= len(schedules)


def survived(folder: Path, seed: int) -> tuple[int, int]:
    """Run one schedule to its end; deaths, and questions that came back without an answer that can be read."""
    chance = random.Random(seed)
    desk = Desk(
        chance,
        lenient=True,
        looks=chance.choice([0, 1, 3]),
        failing=chance.choice([0.0, 0.1]),
        spoiling=chance.choice([0.0, 0.1, 0.3]),
        expiring=chance.choice([0.0, 0.3]),
        mute=chance.choice([0.0, 0.3]),
        busy=chance.choice([0.0, 0.3]),
        hidden=chance.choice([0, 0, 2]),
    )
    run, deaths = Run(folder, desk, Budget(queries=BUDGET)), 0
    for _ in range(30):
        run.dies_at = chance.choice([chance.randrange(1, 12), chance.randrange(1, 90)])
        deaths += dies(run)
    run.dies_at = None
    while dies(run):
        pass
    asked_again = desk.spoilt + desk.failed
    assert all(times <= 1 + desk.spoilt[body] for body, times in desk.billed.items())
    check_votes(run)
    run.now += 2 * APPEARS_SECONDS  # what could still have appeared by now has not
    assert not dies(run)
    assert ledger(run).total == ledger(run).batched == desk.billed.total() == TOTAL + desk.spoilt.total()
    return deaths, asked_again.total()


def dies(run: Run) -> bool:
    """One process; whether it ended before everything was answered."""
    try:
        run.finish(pieces())
    except Death:
        pass
    except OracleUnavailable as error:  # which a user sees, and goes on from
        if not re.search("without any answer|answers no question", str(error)):
            raise
    else:
        return False
    assert run.desk.billed.total() <= ledger(run).total <= BUDGET
    return True
