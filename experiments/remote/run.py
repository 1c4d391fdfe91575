"""Throughput of remote oracles: `python -m experiments.remote.run`.

Our whole path (retries, pace, ledger on disk with its syncs, images to bytes, bytes to answers) against a bare asyncio
loop of httpx that posts the same ready-made bodies with the same concurrency to the same local server and looks at
nothing. The two alternate in one process: A B A B ...; the ratio of each pair is recorded, and their median is the
figure. The server is a process of its own; on few processors it shares them with the client, in both cases.

Further: requests a second where each answer takes 50 ms, as a share of concurrency / latency; peak memory by number of
queries, each in a process of its own; and certification again from a full record, which asks nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import torch
from torch import Tensor

from bbsmooth.assemble import charged
from experiments.remote.server import COUNT, MODEL, SHAPE
from oracles import Budget, Ledger, Oracle, Purpose
from oracles.registry import open_oracle
from oracles.remote.remote import RemoteOracle

RESULT = Path(__file__).with_name("result.json")
SETTINGS = ((8, 1), (8, 64), (32, 16))
"""Concurrency and images in a request."""

LATENCY = 0.05


def main() -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of everything, and no result.json")
    parser.add_argument("--memory", nargs=2, metavar=("PORT", "QUERIES"), help=argparse.SUPPRESS)  # child process
    arguments = parser.parse_args()
    if arguments.memory:
        port, queries = map(int, arguments.memory)
        ours(port, requests=queries // 16, concurrency=8, batch=16)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    result = measure(scale=10 if arguments.small else 1)
    if not arguments.small:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measure(*, scale: int) -> dict[str, Any]:
    """All figures, from 1 / `scale` of the work."""
    torch.set_num_threads(1)
    with server() as port:
        figures = {
            f"concurrency {concurrency}, {batch} images a request": _pairs(port, concurrency, batch, scale)
            for concurrency, batch in SETTINGS
        }
        memory = {f"{queries:,} queries": _peak_memory(port, queries // scale) for queries in (20_000, 200_000)}
        replayed = replay(port, draws=20_000 // scale)
    return {
        "against_asyncio_httpx": figures,
        "with_50_ms_latency": {f"concurrency {each}": _share_of_limit(each, scale) for each in (8, 32)},
        "peak_memory_mib": memory,
        "replay": replayed,
        "processors": os.cpu_count(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


@contextmanager
def server(latency: float = 0.0) -> Iterator[int]:
    """A server process; yields its port."""
    command = [sys.executable, "-m", "experiments.remote.server", "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _pairs(port: int, concurrency: int, batch: int, scale: int) -> dict[str, Any]:
    requests, pairs = max(200, 8_000 // scale // max(1, batch // 8)), []
    for number in range(8):
        bare = requests / bare_httpx(port, requests=requests, concurrency=concurrency, batch=batch)
        whole = requests / ours(port, requests=requests, concurrency=concurrency, batch=batch)
        if number:  # the first pair warms up
            pairs.append((bare, whole))
    ratios = [whole / bare for bare, whole in pairs]
    return {
        "bare_requests_per_second": [round(bare) for bare, _ in pairs],
        "our_requests_per_second": [round(whole) for _, whole in pairs],
        "ratio_of_each_pair": [round(ratio, 3) for ratio in ratios],
        "ratio_median": round(statistics.median(ratios), 3),
    }


def ours(port: int, *, requests: int, concurrency: int, batch: int) -> float:
    """Seconds that our path takes."""
    images = torch.rand(batch, *SHAPE)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(concurrency) as pool:
        oracle = charged(_open(port, concurrency, batch), Ledger(Budget(), Path(folder) / "ledger.json"), Purpose.TUNE)
        began = time.perf_counter()
        for _ in pool.map(lambda number: _ask(oracle, images), range(requests)):
            pass
        return time.perf_counter() - began


def bare_httpx(port: int, *, requests: int, concurrency: int, batch: int) -> float:
    """Seconds that a bare loop takes with the same bodies."""
    request = _open(port, concurrency, batch).protocol.request(torch.rand(batch, *SHAPE))

    async def work(client: httpx.AsyncClient, numbers: Iterator[int]) -> None:
        for _ in numbers:
            reply = await client.post(request.url, content=request.body, headers=dict(request.headers))
            assert reply.status_code == 200

    async def everything() -> float:
        limits = httpx.Limits(max_connections=concurrency)
        async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
            numbers = iter(range(requests))
            began = time.perf_counter()
            await asyncio.gather(*(work(client, numbers) for _ in range(concurrency)))
            return time.perf_counter() - began

    return asyncio.run(everything())


def _share_of_limit(concurrency: int, scale: int) -> dict[str, Any]:
    """Requests a second as a share of concurrency / latency, the limit for any client; the slow start is inside."""
    requests = concurrency * max(40, 400 // scale)
    with server(LATENCY) as port:
        rate = requests / ours(port, requests=requests, concurrency=concurrency, batch=4)
    return {"requests_per_second": round(rate, 1), "share_of_limit": round(rate * LATENCY / concurrency, 3)}


def replay(port: int, *, draws: int) -> dict[str, Any]:
    """Certify, forget the certificates, and certify again from the record."""
    with tempfile.TemporaryDirectory() as folder:
        run, images = Path(folder) / "run", 5
        _certify(run, port, images, draws)
        queries = images * (100 + draws)
        for name in ("certificates.jsonl", "summary.json"):
            (run / name).unlink()
        before = answered(port)
        _certify(run, port, images, draws, "--resume")
        seconds = json.loads((run / "summary.json").read_text())["seconds"]
        return {
            "answers": queries,
            "answers_per_second": round(queries / seconds),
            "images_asked_about": answered(port) - before,
        }


def answered(port: int) -> int:
    """Images that the server has answered."""
    return int(httpx.get(f"http://127.0.0.1:{port}{COUNT}", trust_env=False).json()["answered"])


def _certify(run: Path, port: int, images: int, draws: int, *more: str) -> None:
    command = [
        *(str(Path(sys.executable).with_name("bbsmooth")), "certify", "--oracle", _name(port), "--data", "mnist5k"),
        *("--sigma", "0.5", "--n", str(draws), "--limit", str(images), "--out", str(run), "--canaries", "0"),
        *("--labels", "oracle"),
        *("--batch-size", "64", "--concurrency", "4", *more),
    ]
    subprocess.run(command, check=True, capture_output=True)


def _name(port: int, **options: int) -> str:
    query = "&".join(f"{name}={value}" for name, value in {"batch_size": 64, **options}.items())
    return f"kserve+http://127.0.0.1:{port}{MODEL}?{query}"


def _open(port: int, concurrency: int, batch: int) -> RemoteOracle:
    oracle = open_oracle(_name(port, concurrency=concurrency, batch_size=batch))
    assert isinstance(oracle, RemoteOracle)
    return oracle


def _ask(oracle: Oracle, images: Tensor) -> None:
    oracle.query(images)


def _peak_memory(port: int, queries: int) -> int:
    command = [sys.executable, "-m", "experiments.remote.run", "--memory", str(port), str(queries)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]) // 1024


if __name__ == "__main__":
    main()
