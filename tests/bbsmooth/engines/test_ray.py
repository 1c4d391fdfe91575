"""Workers of a real Ray cluster, which listens on this machine only."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from bbsmooth.assemble import load_coordinator
from bbsmooth.engines.ray_cluster import LOOPBACK, Cluster, _SharedRateLimiter, connected
from tests.bbsmooth.cli.service import Service
from tests.bbsmooth.cli.world import World, bbsmooth
from tests.bbsmooth.engines import ray_world
from tests.waiting import until

psutil = pytest.importorskip("psutil")
pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'bbsmooth[ray]'")

WORKERS = 2
BATCH = 16
SEATS = 2


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A private cluster, which the commands of these tests find this process connected to."""
    before = signal.getsignal(signal.SIGTERM), set(psutil.Process().children(recursive=True))
    with ExitStack() as stack:
        try:
            there = stack.enter_context(connected(None, cpus=WORKERS))
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            pytest.skip("Ray gives its processes 30 seconds to start, which are too few where the machine is so busy")
        assert signal.getsignal(signal.SIGTERM) is before[0]
        yield there
    until(lambda: set(psutil.Process().children(recursive=True)) <= before[1])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return ray_world.build(tmp_path, 12)


def on_ray(world: World, *arguments: object, function: str = "plain", out: str = "run") -> list[dict[str, Any]]:
    """The certificates of two workers."""
    arguments = ("--engine", "ray", "--workers", WORKERS, *arguments)
    done = world.certify("--batch-size", BATCH, *arguments, function=function, out=world.folder / out)
    assert done.status == 0, done.err
    return world.certificates(world.folder / out)


def in_process(world: World, *arguments: object, function: str = "plain") -> list[dict[str, Any]]:
    """The certificates of this process."""
    out = world.folder / "threads"
    assert world.certify(*arguments, function=function, out=out).status == 0
    return world.certificates(out)


def test_nothing_of_it_can_be_reached_from_elsewhere(cluster: Cluster) -> None:
    listening = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            connections = process.net_connections("inet")
            listening += [each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN]
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} == {LOOPBACK}
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    token = os.environ["RAY_AUTH_TOKEN"].encode()
    assert len(token) == 64
    (node,) = cluster.ray.nodes()
    session = Path(node["ObjectStoreSocketName"]).parents[1]
    assert session.parents[2] == Path("/tmp")
    files = [Path(folder, name) for folder, _, names in os.walk(session.parents[1]) for name in names]
    assert any(path.is_file() for path in files)
    for path in filter(Path.is_file, files):
        with suppress(FileNotFoundError):  # it was removed meanwhile
            assert token not in path.read_bytes(), path


def test_neither_a_killed_worker_nor_an_interrupt_changes_a_certificate(cluster: Cluster, world: World) -> None:
    log = ray_world.log(world)

    def disturb() -> int:
        until(lambda: log.held)
        victim = log.held[0]
        assert ray_world.kill(victim)
        log.hold(250)
        until(lambda: log.held)
        os.kill(os.getpid(), signal.SIGTERM)  # which this process notices before it asks anything more
        log.hold(10**9)
        return victim

    log.hold(100)
    with ThreadPoolExecutor(1) as pool:
        victim = pool.submit(disturb)
        done = world.certify("--engine", "ray", "--workers", WORKERS, "--batch-size", BATCH, function="held")
    assert done.status == 130, done.err
    assert 0 < world.ledger()["spent_total"] - len(log.answered) <= SEATS * BATCH  # what the victim was asked

    found = on_ray(world, "--resume", function="held")
    workers = {int(process) for process, _ in log.lines}
    assert victim.result() in workers
    assert os.getpid() not in workers
    assert len(log.answered) == 12 * 50
    assert max(log.answered.values()) <= 2
    assert log.answered.total() <= world.ledger()["spent_total"] <= 12 * 50 + SEATS * BATCH
    assert found == in_process(world, function="held")


def test_a_coordinator_stands_before_the_oracle_in_each_worker(cluster: Cluster, world: World) -> None:
    tune = ("tune", "--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.25, "--pretrain-epochs", 1)
    oracle = world.oracle("plain", "num_classes=2&image_shape=1x8x8")
    parameters = []
    for name, engine in (("tuned", ("--engine", "threads")), ("tuned-on-ray", ("--engine", "ray", "--workers", 2))):
        out = world.folder / name
        done = bbsmooth(*tune, "--oracle", oracle, "--budget", 700, "--out", out, *engine)
        assert done.status == 0, done.err
        assert json.loads((out / "ledger.json").read_text())["spent_total"] > 600
        parameters.append(load_coordinator(out, 0.25)[1])
    assert torch.equal(*parameters)
    assert parameters[0].any()  # a step was kept
    arguments = ("--coordinator", world.folder / "tuned", "--oracle", oracle, "--limit", 4)
    assert on_ray(world, *arguments) == in_process(world, *arguments)


def test_a_remote_oracle_is_asked_within_its_limits(cluster: Cluster, world: World) -> None:
    with Service().running() as service:
        arguments = ("--oracle", f"{service.name}?requests_per_second=100", "--concurrency", 4, "--canaries", 4)
        budget = 12 * 50 + 100
        found = on_ray(world, *arguments, "--budget", budget)
        ledger = world.ledger()
        assert service.total == ledger["spent_total"] <= budget
        assert ledger["attempts"] >= 12 * 50 / BATCH
        assert ledger["bytes_sent"] > 12 * 50 * 64  # was counted where it was sent
        assert ledger["latency"]["p50"] > 0
        said = json.loads((world.run / "manifest.json").read_text())
        assert said["drift"]["identity"] == {
            "name": "shade",
            "version": "1",
            "unit of scores": "probabilities",
        }
        assert found == in_process(world, *arguments)


def test_turns_go_on_where_whoever_keeps_them_was_killed(cluster: Cluster) -> None:
    ray = cluster.ray
    keeper = ray.remote(_SharedRateLimiter).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote(1_000.0)
    first, second = ray.get([keeper.take.remote() for _ in range(2)])
    assert first == 0
    assert 0 < second <= 1_000
    ray.kill(keeper, no_restart=False)
    while (waiting := ray.get(keeper.take.remote())) > 1_000:  # it is not dead yet
        time.sleep(0.01)
    assert waiting > 0  # nobody knows when the last turn was
