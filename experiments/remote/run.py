"""Throughput of remote oracles: `python -m experiments.remote.run`.

Our whole path (retries, pace, ledger on disk with its syncs, images to bytes, bytes to answers) against bare asyncio
loops of tritonclient, aiohttp and httpx (`experiments.remote.peers`) with the same batches, concurrency and local
server. Ours and a peer take turns in one process; the ratio of each pair is recorded, and their median is the figure,
of requests a second and of processor time a request. The server is a process of its own; on few processors it shares
them with the client, in all cases. The process keeps freed memory, for all of them, as our commands do. Peers that are
not installed are left out.

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
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import torch

from bbsmooth.assemble import charged
from bbsmooth.memory import keep_memory
from experiments.processes import leaving_on_signals
from experiments.remote.peers import INSTALL, PEERS, Cost, Work, cost, missing
from experiments.remote.server import COUNT, MODELS
from oracles import Budget, Ledger, Purpose
from oracles.registry import open_oracle
from oracles.remote.remote import RemoteOracle

RESULT = Path(__file__).with_name("result.json")
SIZES = (("small", 1, 400), ("small", 64, 150), ("large", 8, 120))
"""Model, images in a request, and requests of a run."""

CONCURRENCY = (8, 32)
PAIRS = 5
LATENCY = 0.05


def main() -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of everything, and no result.json")
    parser.add_argument("--memory", nargs=2, metavar=("PORT", "QUERIES"), help=argparse.SUPPRESS)  # child process
    arguments = parser.parse_args()
    if arguments.memory:
        port, queries = map(int, arguments.memory)
        ours(work(port, "digits", batch=16, count=queries // 16, concurrency=8))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    if absent := missing():
        print(f"left out: {', '.join(absent)}; to add them: {INSTALL}", file=sys.stderr)
    result = measure(scale=10 if arguments.small else 1)
    if not arguments.small:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measure(*, scale: int) -> dict[str, Any]:
    """All figures, from 1 / `scale` of the work."""
    torch.set_num_threads(1)
    keep_memory()
    load = os.getloadavg()[0]
    with server() as port:
        # first: Linux counts what this process holds when it starts a child as the child's own peak
        memory = {f"{queries:,} queries": _peak_memory(port, queries // scale) for queries in (20_000, 200_000)}
        figures = {
            f"{concurrency} at once, {batch} x {'x'.join(map(str, MODELS[model].shape))} {MODELS[model].datatype}": {
                peer: _pairs(
                    work(port, model, batch=batch, count=max(40, count // scale), concurrency=concurrency), peer
                )
                for peer in PEERS
                if peer not in missing()
            }
            for model, batch, count in SIZES
            for concurrency in CONCURRENCY
        }
        replayed = replay(port, draws=20_000 // scale)
    return {
        "load_average_at_start": round(load, 2),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("torch", *PEERS) if name not in missing()},
        "against": figures,
        "with_50_ms_latency": {f"{each} at once": _share_of_limit(each, scale) for each in CONCURRENCY},
        "peak_memory_mib": memory,
        "replay": replayed,
    }


@contextmanager
def server(*arguments: str) -> Iterator[int]:
    """A server process, by default that of HTTP without latency; yields its port.

    Args:
        arguments: module, and what it is given.
    """
    command = [sys.executable, "-m", *(arguments or ("experiments.remote.server",))]
    with leaving_on_signals(), subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def work(port: int, model: str, *, batch: int, count: int, concurrency: int) -> Work:
    """Requests with random images."""
    shape = (batch, *MODELS[model].shape)
    eight_bit = MODELS[model].datatype == "UINT8"
    images = torch.randint(256, shape, dtype=torch.uint8) if eight_bit else torch.rand(shape)
    request = open_model(port, model, concurrency, batch).protocol.request(images)
    return Work(port=port, model=model, batch=images.numpy(), request=request, count=count, concurrency=concurrency)


def _pairs(work: Work, peer: str) -> dict[str, Any]:
    """Figures of ours and a peer by turns; who begins alternates, too. The first pair warms up."""
    pairs = list[tuple[Cost, Cost]]()
    for number in range(1 + PAIRS):
        mine = ours(work) if number % 2 else None
        theirs = asyncio.run(spent(peer, work))
        pairs.append((theirs, mine or ours(work)))
    return compared(pairs[1:], requests=work.count)


async def spent(peer: str, work: Work) -> Cost:
    """Cost of the work by a peer."""
    return await PEERS[peer](work)


def compared(pairs: list[tuple[Cost, Cost]], *, requests: int) -> dict[str, Any]:
    """Figures of pairs of a peer's cost and ours of so many requests each."""
    rates = [theirs.seconds / mine.seconds for theirs, mine in pairs]
    processor = [mine.processor / theirs.processor for theirs, mine in pairs]
    return {
        "rate_ratio": round(median(rates), 3),
        "processor_ratio": round(median(processor), 3),
        "our_requests_per_second": round(median(requests / mine.seconds for _, mine in pairs)),
        "peer_requests_per_second": round(median(requests / theirs.seconds for theirs, _ in pairs)),
        "our_processor_ms_per_request": round(median(mine.processor for _, mine in pairs) / requests * 1000, 3),
        "peer_processor_ms_per_request": round(median(theirs.processor for theirs, _ in pairs) / requests * 1000, 3),
        "rate_ratio_of_each_pair": [round(ratio, 3) for ratio in rates],
        "processor_ratio_of_each_pair": [round(ratio, 3) for ratio in processor],
    }


def ours(work: Work, oracle: RemoteOracle | None = None) -> Cost:
    """Cost of the work by our path, with an oracle that is open already or over HTTP."""
    images = torch.from_numpy(work.batch)
    oracle = oracle or open_model(work.port, work.model, work.concurrency, len(work.batch))
    numbers = iter(range(work.count))

    def repeat(_: int) -> None:
        for _ in numbers:
            asked.query(images)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(work.concurrency) as pool:
        asked = charged(oracle, Ledger(Budget(), Path(folder) / "ledger.json"), Purpose.TUNE)
        with cost() as taken:
            for _ in pool.map(repeat, range(work.concurrency)):  # as the loops of the peers
                pass
    return taken


def _share_of_limit(concurrency: int, scale: int) -> dict[str, Any]:
    """Requests a second as a share of concurrency / latency, the limit for any client; the slow start is inside."""
    requests = concurrency * max(40, 400 // scale)
    with server("experiments.remote.server", "--latency", str(LATENCY)) as port:
        rate = requests / ours(work(port, "digits", batch=4, count=requests, concurrency=concurrency)).seconds
    return {"requests_per_second": round(rate, 1), "share_of_limit": round(rate * LATENCY / concurrency, 3)}


def replay(port: int, *, draws: int) -> dict[str, Any]:
    """Certify, forget the certificates, and certify again from the record."""
    with tempfile.TemporaryDirectory() as folder:
        run, images = Path(folder) / "run", 5
        _certify(run, port, images, draws)
        queries = images * (100 + draws)
        for name in ("certificates.jsonl", "summary.json"):
            (run / name).unlink()
        manifest = json.loads((run / "manifest.json").read_text())
        del manifest["hashes"]  # as if it had been killed before it wrote them
        (run / "manifest.json").write_text(json.dumps(manifest))
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
        *(
            str(Path(sys.executable).with_name("bbsmooth")),
            "certify",
            "--oracle",
            _name(port, "digits", batch_size=64),
            "--data",
            "mnist5k",
        ),
        *("--sigma", "0.5", "--n", str(draws), "--limit", str(images), "--out", str(run), "--canaries", "0"),
        *("--labels", "oracle"),
        *("--batch-size", "64", "--concurrency", "4", *more),
    ]
    subprocess.run(command, check=True, capture_output=True)


def _name(port: int, model: str, **options: int) -> str:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"kserve+http://127.0.0.1:{port}/v2/models/{model}?{query}"


def open_model(port: int, model: str, concurrency: int, batch: int) -> RemoteOracle:
    """The server's model as an oracle."""
    oracle = open_oracle(_name(port, model, concurrency=concurrency, batch_size=batch))
    assert isinstance(oracle, RemoteOracle)
    return oracle


def _peak_memory(port: int, queries: int) -> int:
    command = [sys.executable, "-m", "experiments.remote.run", "--memory", str(port), str(queries)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]) // 1024


if __name__ == "__main__":
    main()
