"""Workers and the process that asks them, killed at any moment."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.bbsmooth.cli.world import World
from tests.bbsmooth.engines import ray_world
from tests.waiting import LONG, until

ROOT = Path(__file__).parents[3]
IMAGES, QUERIES = 200, 50
BATCH, SEATS = 20, 2


def start(world: World, workers: int, budget: int, *arguments: str) -> subprocess.Popen[str]:
    """A process that certifies, in a group of its own with all of Ray that it starts."""
    command = [
        *(sys.executable, "-m", "tests.bbsmooth.cli.world", "certify", *world.arguments("held", None)),
        *("--engine", "ray", "--workers", str(workers), "--batch-size", str(BATCH), "--budget", str(budget)),
    ]
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def wait_until_held(child: subprocess.Popen[str], log: ray_world.Log) -> None:
    """Wait for workers that wait."""
    until(lambda: log.held or child.poll() is not None)
    assert child.poll() is None, child.communicate()[1]


def end(child: subprocess.Popen[str], log: ray_world.Log) -> None:
    """Leave nothing behind, whatever a test has come to."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    for worker in log.workers:
        ray_world.kill(worker)
    while sessions := list(Path("/tmp").glob(f"bbs-*/r/session_*_{child.pid}")):
        for session in sessions:  # what is dying still writes there
            shutil.rmtree(session.parents[1], ignore_errors=True)
        time.sleep(0.1)


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'bbsmooth[ray]'")
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", [2, 4])
def test_every_promise_holds_whatever_is_killed(tmp_path: Path, workers: int) -> None:
    world = ray_world.build(tmp_path, IMAGES)
    log, chance = ray_world.log(world), random.Random(workers)
    truth_in = tmp_path / "truth"
    assert world.certify(function="plain", out=truth_in).status == 0
    log.hold(10**9)
    in_flight = SEATS * BATCH
    budget = IMAGES * QUERIES + (workers + 6) * in_flight
    worker_kills, driver_kills, arguments = 0, 0, list[str]()
    for driver_dies in (True, False):
        before = log.answered.total()
        aims = [before + aim for aim in sorted(chance.sample(range(600, 4_000), 3))]  # when something is killed
        log.hold(aims[0])
        child = start(world, workers, budget, *arguments)
        try:
            for number in range(3):
                wait_until_held(child, log)
                if driver_dies and number == 2:
                    os.kill(child.pid, signal.SIGKILL)
                    driver_kills += 1
                else:
                    worker_kills += ray_world.kill(chance.choice(log.held))
                log.hold(aims[number + 1] if number < 2 else 10**9)
            err = child.communicate(timeout=LONG)[1]
            assert child.returncode == (-signal.SIGKILL if driver_dies else 0), err
        finally:
            end(child, log)
        charged = json.loads((world.run / "ledger.json").read_text())["spent_total"]
        assert log.answered.total() <= charged <= budget
        lost = worker_kills * in_flight + driver_kills * workers * in_flight
        assert charged - len(log.answered) <= lost
        assert log.answered.total() - len(log.answered) <= lost
        arguments = ["--resume"]
    assert (worker_kills, driver_kills) == (5, 1)
    assert len(log.answered) == IMAGES * QUERIES
    assert world.certificates() == world.certificates(truth_in)
