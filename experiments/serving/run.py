"""Capacity of the smoothed classifier as a service: `python -m experiments.serving.run`.

`bbsmooth serve --sigma` runs as a process of its own on loopback. A bounded client, one thread for each request under
way, asks about test digits one at a time, and asks again as soon as it has its answer, for five minutes in all. Client
and server share the processors, so the rates are a lower bound. Every reply must be an answer: one error fails the run.

Ratios say more than rates, which are those of this machine: queries a second as a share of what the oracle answers in
this process with as many threads and nothing around it, measured before and after; resident memory at the end of a step
as a multiple of that at its begin.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from prometheus_client.parser import text_string_to_metric_families

from bbsmooth.data import Split, load
from experiments.processes import leaving_on_signals
from experiments.serving.table import RESULT, fill
from oracles.registry import open_oracle

SIGMA, PRICE = 0.25, 1.0
"""Noise, and USD for 1,000 queries."""

PLANS = {
    "cohen, n = 1,000": ("--n", "1000"),
    "sequential, radius 0.25": ("--method", "sequential", "--radius", "0.25"),
}
STEPS = (
    ("cohen, n = 1,000", 1),
    ("cohen, n = 1,000", 4),
    ("cohen, n = 1,000", 16),
    ("cohen, n = 1,000", 64),
    ("sequential, radius 0.25", 4),
    ("sequential, radius 0.25", 16),
)
"""Plans, and requests under way at once."""

SECONDS = 50
BATCH, CALLS, IMAGES = 256, 2, 200
_MIB = 2**20


def main() -> None:
    """Measure, print, and write `result.json` and the table in the notes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="3 seconds a step, and no result.json")
    arguments = parser.parse_args()
    result = measure(seconds=3 if arguments.small else SECONDS)
    print(json.dumps(result, indent=2))
    if not arguments.small:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
        fill(result)
    if errors := sum(step["errors"] for step in result["steps"]):
        sys.exit(f"{errors} requests got no answer")


def measure(*, seconds: float) -> dict[str, Any]:
    """All figures, from so many seconds at each step."""
    images, raw, steps = _images(), [_raw_rate(seconds)], list[dict[str, Any]]()
    for plan in PLANS:
        with server(*PLANS[plan]) as (process, url):
            _load(url, images, concurrency=4, seconds=min(2.0, seconds))  # caches of bounds, pools, allocators
            steps += [
                {"plan": plan, "concurrency": concurrency} | _step(process, url, images, concurrency, seconds)
                for name, concurrency in STEPS
                if name == plan
            ]
    raw.append(_raw_rate(seconds))
    for step in steps:
        step["share_of_raw_rate"] = round(step["queries_per_second"] / statistics.fmean(raw), 3)
    return {
        "oracle": "local-vit",
        "sigma": SIGMA,
        "price_per_1000": PRICE,
        "seconds_a_step": seconds,
        "raw_queries_per_second": [round(rate) for rate in raw],
        "steps": steps,
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "torch": torch.__version__,
    }


@contextmanager
def server(*arguments: str) -> Iterator[tuple[int, str]]:
    """A service as a process: its number, and the URL of its model."""
    command = [str(Path(sys.executable).with_name("bbsmooth")), "serve", "--oracle", "local-vit", "--port", "0"]
    options = ["--json", "--sigma", str(SIGMA), "--batch-size", str(BATCH), "--concurrency", str(CALLS), *arguments]
    with leaving_on_signals(), subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


@dataclass(slots=True)
class _Seen:
    """What clients saw."""

    latencies: list[float] = field(default_factory=list)
    certified: int = 0
    queries: int = 0
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, reply: httpx.Response, seconds: float) -> None:
        """Note a reply."""
        outputs = {each["name"]: each["data"] for each in reply.json()["outputs"]}
        with self.lock:
            self.latencies.append(seconds)
            self.certified += not outputs["abstained"][0]
            self.queries += outputs["queries"][0]

    def failed(self, why: str) -> None:
        """Note that there was none."""
        with self.lock:
            self.errors.append(why)


def _step(process: int, url: str, images: list[bytes], concurrency: int, seconds: float) -> dict[str, Any]:
    memory, calls = [_resident(process)], _calls(url)
    done = threading.Event()

    def sample() -> None:
        for _ in range(9):
            if done.wait(seconds / 10):
                return
            memory.append(_resident(process))

    sampler = threading.Thread(target=sample)
    sampler.start()
    began = time.perf_counter()
    try:
        seen = _load(url, images, concurrency=concurrency, seconds=seconds)
    finally:
        done.set()
        sampler.join()
    took = time.perf_counter() - began
    memory.append(_resident(process))
    made, drawn = (after - before for after, before in zip(_calls(url), calls, strict=True))
    latencies = np.array(seen.latencies)
    return {
        "requests": len(latencies),
        "errors": len(seen.errors),
        "first_errors": seen.errors[:3],
        "queries_per_second": round(seen.queries / took, 1),
        "requests_per_second": round(len(latencies) / took, 2),
        "seconds_p50": round(float(np.quantile(latencies, 0.5)), 4),
        "seconds_p99": round(float(np.quantile(latencies, 0.99)), 4),
        "images_a_call": round(drawn / made, 1),
        "certified": round(seen.certified / len(latencies), 3),
        "queries_a_certificate": round(seen.queries / seen.certified, 1),
        "price_a_certificate": round(seen.queries / seen.certified / 1000 * PRICE, 4),
        "memory_mib": [round(each / _MIB) for each in memory],
        "memory_end_to_begin": round(memory[-1] / memory[0], 3),
    }


def _load(url: str, images: list[bytes], *, concurrency: int, seconds: float) -> _Seen:
    """Ask for so many seconds with so many requests under way, each asker at least once; wait for the last answers."""
    seen, turns, turn = _Seen(), cycle(images), threading.Lock()
    until = time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    with httpx.Client(timeout=120, limits=limits, trust_env=False) as client:

        def work(number: int) -> None:
            over = False
            while not over:
                with turn:
                    body = next(turns)
                began = time.perf_counter()
                try:
                    reply = client.post(f"{url}/infer", content=body)
                    reply.raise_for_status()
                except httpx.HTTPError as error:
                    seen.failed(str(error))
                else:
                    seen.answered(reply, time.perf_counter() - began)
                over = time.perf_counter() >= until

        with ThreadPoolExecutor(concurrency) as pool:
            for _ in pool.map(work, range(concurrency)):
                pass
    return seen


def _images() -> list[bytes]:
    """Bodies of requests, an image each."""
    digits = load("mnist5k", split=Split.TEST, image_shape=(1, 28, 28), resize=False, root=None, download=False)
    bodies = []
    for index in range(IMAGES):
        pixels = digits.image(index).flatten().tolist()
        tensor = {"name": "images", "shape": [1, 1, 28, 28], "datatype": "UINT8", "data": pixels}
        bodies.append(json.dumps({"inputs": [tensor]}).encode())
    return bodies


def _raw_rate(seconds: float) -> float:
    """Queries a second of the oracle alone, with the calls and threads of the service."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // CALLS))
    oracle, batch = open_oracle("local-vit", {"device": "cpu", "dtype": "float32"}), torch.rand(BATCH, 1, 28, 28)
    oracle.query(batch)
    began = time.perf_counter()
    until = began + min(seconds, 10)

    def work(number: int) -> int:
        answered = 0
        while time.perf_counter() < until:
            answered += len(oracle.query(batch))
        return answered

    with ThreadPoolExecutor(CALLS) as pool:
        return sum(pool.map(work, range(CALLS))) / (time.perf_counter() - began)


def _calls(url: str) -> tuple[float, float]:
    """Calls of the oracle so far, and the images in them."""
    text = httpx.get(f"{url.partition('/v2/')[0]}/metrics", trust_env=False).text
    found = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    return found["bbsmooth_call_images_count"], found["bbsmooth_call_images_sum"]


def _resident(process: int) -> int:
    """Bytes of memory of a process."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {process} has ended")


if __name__ == "__main__":
    main()
