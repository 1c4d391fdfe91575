"""Clients that our requests are measured against: bare asyncio loops around the libraries that people use.

Each sends one batch again and again, `concurrency` requests at once. Those of httpx and aiohttp post the ready-made
body of our own request and look at nothing but the status; that of tritonclient, the vendor's own client of the
protocol, makes its body from an array and reads an array from the reply, as its users do.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import httpx
import numpy as np

from oracles.remote.messages import Request

INSTALL = "python -m pip install aiohttp==3.14.5 'tritonclient[http]==2.73.0'"
"""Adds the peers that nothing but this benchmark needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Requests to send.

    Args:
        port: of the server on this machine.
        model: name of the model.
        batch: the images of each request, as the server takes them.
        request: our own request with them.
        count: number of requests.
        concurrency: requests under way at once.
    """

    port: int
    model: str
    batch: np.ndarray[Any, Any]
    request: Request
    count: int
    concurrency: int


@dataclass(slots=True)
class Cost:
    """What some requests took.

    Attributes:
        seconds: by the clock.
        processor: seconds of the processors, in this process.
    """

    seconds: float = 0.0
    processor: float = 0.0


@contextmanager
def cost() -> Iterator[Cost]:
    """Measure the block; what it took is there at its end."""
    taken, began, before = Cost(), time.perf_counter(), _processor()
    yield taken
    taken.seconds, taken.processor = time.perf_counter() - began, _processor() - before


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def at_once(work: Work, send: Callable[[], Awaitable[None]]) -> Cost:
    """Cost of the work by a loop of requests that wait for each other where there are too many."""
    numbers = iter(range(work.count))

    async def repeat() -> None:
        for _ in numbers:
            await send()

    with cost() as taken:
        await asyncio.gather(*(repeat() for _ in range(work.concurrency)))
    return taken


async def by_httpx(work: Work) -> Cost:
    """Cost of the work by httpx."""
    limits = httpx.Limits(max_connections=work.concurrency)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

        async def send() -> None:
            request = work.request
            reply = await client.post(request.url, content=request.body, headers=dict(request.headers))
            assert reply.status_code == 200

        return await at_once(work, send)


async def by_aiohttp(work: Work) -> Cost:
    """Cost of the work by aiohttp."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=work.concurrency)) as client:

        async def send() -> None:
            request = work.request
            async with client.post(request.url, data=request.body, headers=dict(request.headers)) as reply:
                assert reply.status == 200
                await reply.read()

        return await at_once(work, send)


async def by_tritonclient(work: Work) -> Cost:
    """Cost of the work by tritonclient's asyncio client, with binary tensors both ways."""
    from tritonclient.http import aio

    datatype = {"float32": "FP32", "uint8": "UINT8"}[work.batch.dtype.name]
    async with aio.InferenceServerClient(f"127.0.0.1:{work.port}", conn_limit=work.concurrency) as client:

        async def send() -> None:
            images = aio.InferInput("input", list(work.batch.shape), datatype)
            images.set_data_from_numpy(work.batch, binary_data=True)
            scores = aio.InferRequestedOutput("probabilities", binary_data=True)
            reply = await client.infer(work.model, [images], outputs=[scores])
            assert len(reply.as_numpy("probabilities")) == len(work.batch)

        return await at_once(work, send)


PEERS: dict[str, Callable[[Work], Awaitable[Cost]]] = {
    "tritonclient": by_tritonclient,
    "aiohttp": by_aiohttp,
    "httpx": by_httpx,
}


def missing() -> list[str]:
    """Names of the peers that are not installed."""
    return [name for name in PEERS if find_spec(name) is None]
