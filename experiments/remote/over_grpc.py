"""Throughput over gRPC: `python -m experiments.remote.over_grpc`.

Our whole path (retries, pace, ledger on disk with its syncs, images to bytes, bytes to answers) against a bare asyncio
loop of tritonclient's gRPC client with the same batches, concurrency and local server, in the way of
`experiments.remote.run`: by turns in one process, the ratio of each pair recorded, their median the figure. Images are
224 x 224 x 3 in 8 bits, 1 and 8 in a request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from bbsmooth.memory import keep_memory
from experiments.remote.peers import Cost, Work, at_once
from experiments.remote.run import CONCURRENCY, PAIRS, compared, ours, server
from experiments.remote.server import MODELS
from oracles.registry import open_oracle
from oracles.remote.remote import RemoteOracle

RESULT = Path(__file__).with_name("grpc.json")
INSTALL = "python -m pip install 'tritonclient[grpc]==2.73.0'"
MODEL = "large"
SIZES = ((1, 400), (8, 120))
"""Images in a request, and requests of a run."""


def main() -> None:
    """Measure, print, and write `grpc.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of everything, and no grpc.json")
    small = parser.parse_args().small
    if find_spec("tritonclient") is None:
        print(f"tritonclient is not installed, so nothing is measured; to add it: {INSTALL}", file=sys.stderr)
        return
    result = measure(scale=10 if small else 1)
    if not small:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measure(*, scale: int) -> dict[str, Any]:
    """All figures, from 1 / `scale` of the work."""
    torch.set_num_threads(1)
    keep_memory()
    load = os.getloadavg()[0]
    with server("experiments.remote.grpc_server") as port:
        figures = {
            f"{concurrency} at once, {batch} x 3x224x224 UINT8": pairs(
                port, batch=batch, count=max(40, count // scale), concurrency=concurrency
            )
            for batch, count in SIZES
            for concurrency in CONCURRENCY
        }
    return {
        "load_average_at_start": round(load, 2),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("torch", "grpcio", "protobuf", "tritonclient")},
        "against_tritonclient": figures,
    }


def open_model(port: int, *, batch: int, concurrency: int) -> RemoteOracle:
    """The server's model as an oracle."""
    oracle = open_oracle(f"grpc+kserve://127.0.0.1:{port}/{MODEL}?concurrency={concurrency}&batch_size={batch}")
    assert isinstance(oracle, RemoteOracle)
    return oracle


def pairs(port: int, *, batch: int, count: int, concurrency: int) -> dict[str, Any]:
    """Figures of ours and tritonclient by turns; who begins alternates, too. The first pair warms up."""
    images = torch.randint(256, (batch, *MODELS[MODEL].shape), dtype=torch.uint8)
    oracle = open_model(port, batch=batch, concurrency=concurrency)
    work = Work(
        port=port,
        model=MODEL,
        batch=images.numpy(),
        request=oracle.protocol.request(images),
        count=count,
        concurrency=concurrency,
    )
    found = list[tuple[Cost, Cost]]()
    for number in range(1 + PAIRS):
        mine = ours(work, oracle) if number % 2 else None
        theirs = asyncio.run(by_tritonclient(work))
        found.append((theirs, mine or ours(work, oracle)))
    oracle.transport.close()
    return compared(found[1:], requests=count)


async def by_tritonclient(work: Work) -> Cost:
    """Cost of the work by tritonclient's asyncio client."""
    from tritonclient.grpc import aio

    async with aio.InferenceServerClient(f"127.0.0.1:{work.port}") as client:

        async def send() -> None:
            images = aio.InferInput("input", list(work.batch.shape), "UINT8")
            images.set_data_from_numpy(work.batch)
            scores = aio.InferRequestedOutput("probabilities")
            reply = await client.infer(work.model, [images], outputs=[scores])
            assert len(reply.as_numpy("probabilities")) == len(work.batch)

        return await at_once(work, send)


if __name__ == "__main__":
    main()
