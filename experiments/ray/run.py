"""What workers of Ray cost beside threads of one process, and a large cluster on paper.

`python -m experiments.ray.run` certifies digits with the embedded vision transformer at batch 256, by threads and by as
many workers of a private Ray cluster on the same machine, A B A B ... within one run. The ratio of each pair is
recorded, and their median is the figure. Everything that certification does is inside: noise, charging, recording,
votes; the start of workers is not, and stands beside it. Once there is one worker, and the threads are kept to one
processor, so that the process that keeps ledger and record has another one to itself, as beside GPUs; once there are as
many workers as processors, which it has to share. Then the run measures what that process spends on a batch, and what a
draw of ImageNet's size costs, and puts them into `experiments.ray.paper`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bbsmooth import data
from bbsmooth.assemble import Account, Front, answering, opened, vote_source
from bbsmooth.certification import run_cases
from bbsmooth.certification.methods.cases import opener
from bbsmooth.engines.pool import Handshake, WorkerPool
from bbsmooth.engines.pooled import PooledOracle
from bbsmooth.engines.ray_cluster import connected
from bbsmooth.engines.replies import WorkerReply
from bbsmooth.noise import Gaussian, Grid, NoisyCopies
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import OracleConfig, SmoothingConfig
from experiments.ray.paper import Measured, Task, table
from oracles import Budget, Ledger, Oracle, Purpose, ResponseStore

RESULT = Path(__file__).with_name("result.json")
BATCH = 256
DRIVER_BATCHES = (256, 4_096, 16_384)
PAIRS = 7
IMAGES = 4
DRAWS = 10_000
WORKERS = (1, 2)
CALLS = 2_000
IMAGENET = torch.zeros(3, 224, 224, dtype=torch.uint8)
SMOOTHING = SmoothingConfig(sigma=0.5, noise="gaussian", coordinator=None, seed=0)
CLUSTER = Task(images=50_000, num_selection=100, num_estimation=100_000)
GPUS, PROCESSORS = 1_000, 16
RATES = (1_000.0, 3_000.0, 10_000.0)
"""Images a second that a GPU answers: assumptions, from a large model to a small one."""

PAPER_BATCHES = (256, 4_096, 16_384, 65_536)


def main() -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    result = measure(arguments.pairs)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measure(pairs: int) -> dict[str, Any]:
    """All figures."""
    overhead = {workers: _overhead(pairs, workers) for workers in WORKERS}
    driver = {batch: _driver_seconds(batch) for batch in DRIVER_BATCHES}
    per_vote, per_batch = np.polyfit(list(driver), list(driver.values()), 1)
    measured = Measured(
        driver_seconds_per_batch=max(0.0, float(per_batch)),
        driver_seconds_per_vote=float(per_vote),
        call_seconds=_call_seconds(),
        noise_seconds_per_draw=_noise_seconds(IMAGENET),
        start_seconds=max(found["seconds_until_all_workers_answer"] for found in overhead.values()),
    )
    return {
        "batch": BATCH,
        "queries_per_run": IMAGES * (100 + DRAWS),
        "by_workers": {str(workers): found for workers, found in overhead.items()},
        "driver_seconds_by_batch": {str(batch): float(f"{seconds:.3g}") for batch, seconds in driver.items()},
        "on_paper": table(CLUSTER, measured, gpus=GPUS, processors=PROCESSORS, rates=RATES, batches=PAPER_BATCHES),
        "processors": os.cpu_count(),
        "ray": metadata.version("ray"),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def _overhead(pairs: int, workers: int) -> dict[str, Any]:
    """Seconds a query by threads and by workers, in turn."""
    with connected(None, cpus=workers):
        threads_config, ray_config = _config("threads"), _config("ray", workers)
        (home, threads_config), (_, ray_config) = opened(threads_config), opened(ray_config)
        began = time.perf_counter()
        with answering(home, ray_config, Front(None, SMOOTHING.sigma)) as (pooled, ray_config):
            assert isinstance(pooled, PooledOracle)
            while pooled.pool.ready < workers:
                time.sleep(0.01)
            started = time.perf_counter() - began
            found = []
            for _ in range(pairs + 1):
                with _processors(workers):
                    threads = _seconds(home, threads_config)
                found.append((threads, _seconds(pooled, ray_config)))
            del found[0]  # the first pair warms up
    ratios = [ray / threads for threads, ray in found]
    queries = IMAGES * (100 + DRAWS)
    return {
        "threads_microseconds_per_query": [round(1e6 * threads / queries, 2) for threads, _ in found],
        "ray_microseconds_per_query": [round(1e6 * ray / queries, 2) for _, ray in found],
        "ratio_of_each_pair": [round(ratio, 3) for ratio in ratios],
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_of_the_best_runs": round(min(ray for _, ray in found) / min(threads for threads, _ in found), 3),
        "seconds_until_all_workers_answer": round(started, 2),
    }


@contextmanager
def _processors(count: int) -> Iterator[None]:
    """Keep this thread, and those that it starts, to so many processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    yield
    os.sched_setaffinity(0, before)


def _config(engine: str, workers: int = 0) -> OracleConfig:
    return OracleConfig(
        oracle="local-vit",
        device="cpu",
        dtype="float32",
        batch_size=BATCH,
        concurrency=0,
        budget=None,
        price=None,
        max_price=None,
        engine=engine,
        workers=workers,
    )


def _seconds(oracle: Oracle, config: OracleConfig, *, draws: int = DRAWS) -> float:
    """Wall time of a certification, with ledger and record on disk."""
    images = data.load("mnist5k", split=data.Split.TEST, image_shape=(1, 28, 28))
    plan = CertifyConfig(num_selection=100, num_estimation=draws, alpha=0.001, radii=(0.25,), limit=IMAGES).plan(
        SMOOTHING.mechanism, IMAGES
    )
    with tempfile.TemporaryDirectory() as folder:
        store = ResponseStore(Path(folder) / "responses")
        kept = Account(Ledger(Budget(), Path(folder) / "ledger.json"), store)
        votes = vote_source(oracle, Front(None, SMOOTHING.sigma), SMOOTHING, kept, (Purpose.SELECT, Purpose.ESTIMATE))
        began = time.perf_counter()
        done = run_cases(
            ((index, images.image(index)) for index in range(IMAGES)),
            opener(plan, votes, earlier=None),
            votes,
            batch_size=config.batch_size,
            concurrency=config.concurrency,
            remaining=lambda: None,
        )
        assert len(list(done)) == IMAGES
        seconds = time.perf_counter() - began
        store.close()
    return seconds


def _driver_seconds(batch: int) -> float:
    """Of the process that keeps ledger and record, for a batch that workers answer at once and for nothing."""
    home, config = opened(replace(_config("threads"), batch_size=batch))
    with _instant(home) as pooled:
        draws = max(DRAWS, 16 * batch)
        batches = IMAGES * draws / batch
        return _seconds(pooled, config, draws=draws) / batches


@contextmanager
def _instant(home: Oracle) -> Iterator[PooledOracle]:
    """Workers that look at nothing."""
    pool = WorkerPool(lambda: _Instant(home), workers=4, slots=2, fingerprint=home.spec.fingerprint)
    try:
        pool.open()
        yield PooledOracle(pool, home, home.spec)
    finally:
        pool.close()


class _Instant:
    """Answers 0 without looking."""

    def __init__(self, home: Oracle) -> None:
        """Nothing is asked yet."""
        self._handshake = Handshake(home.spec.fingerprint, "here")

    def handshake(self, unwanted: Callable[[], bool]) -> Handshake:
        """Ready."""
        return self._handshake

    def answer(self, images: Tensor, voting: bool) -> WorkerReply:
        """Zeros."""
        return WorkerReply(labels=np.zeros(len(images), np.int32))

    def interrupt(self) -> None:
        """Nothing waits."""


def _call_seconds() -> float:
    """Of this process, for one of many calls that are under way at once."""
    count = max(WORKERS)
    with connected(None, cpus=count) as cluster:
        ray = cluster.ray
        workers = [ray.remote(_Echo).remote() for _ in range(count)]

        def call(number: int) -> None:
            ray.get(workers[number % count].echo.remote(number))

        with ThreadPoolExecutor(2 * count) as pool:
            list(pool.map(call, range(CALLS // 10)))
            began = time.process_time()
            list(pool.map(call, range(CALLS)))
            return (time.process_time() - began) / CALLS


class _Echo:
    """Gives back what it gets."""

    def echo(self, value: Any) -> Any:
        """The value."""
        return value


def _noise_seconds(image: Tensor) -> float:
    """Of one processor, for one noisy copy."""
    copies = NoisyCopies(noise=Gaussian(0.5), grid=Grid(1), seed=0)
    stream, count = copies.stream(image, "estimate"), 64
    copies.draw(image, stream, first=0, count=count)
    began = time.process_time()
    copies.draw(image, stream, first=count, count=count)
    return (time.process_time() - began) / count


if __name__ == "__main__":
    main()
