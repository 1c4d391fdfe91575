"""A server in this process, on a socket of 127.0.0.1, and a client to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI

from bbsmooth.serving.app import create_app
from bbsmooth.serving.batching import BatchPlan
from bbsmooth.serving.server import bind, prepare, run
from oracles import Oracle
from tests.waiting import LONG

NAME = "model"
INFER = f"/v2/models/{NAME}/infer"
KEPT = httpx.Limits(max_connections=200, max_keepalive_connections=200, keepalive_expiry=60.0)
"""Idle connections are kept longer than a busy machine stands still, and not as long as the server keeps them."""


@contextmanager
def served(
    oracle: Oracle,
    *,
    plan: BatchPlan | None = None,
    max_body_bytes: int = 2**20,
    beside: Callable[[FastAPI], None] = lambda app: None,
) -> Iterator[httpx.Client]:
    """Serve while the block runs."""
    app = create_app(oracle, name=NAME, plan=plan or BatchPlan(), max_body_bytes=max_body_bytes)
    beside(app)
    listening = bind("127.0.0.1", 0)
    listening.listen()
    server = prepare(app)
    thread = threading.Thread(target=run, args=(server, listening))
    host, port = listening.getsockname()
    thread.start()
    try:
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=LONG, limits=KEPT, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def question(images: Any, *, datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    """A JSON request about an array (B, C, H, W)."""
    array = np.asarray(images)
    tensor = {"name": "images", "shape": list(array.shape), "datatype": datatype, "data": array.reshape(-1).tolist()}
    return {"inputs": [tensor]} | more


def scores(reply: httpx.Response) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(B, K) scores in a JSON reply."""
    assert reply.status_code == 200, reply.text
    (output,) = reply.json()["outputs"]
    return np.array(output["data"], dtype=np.float32).reshape(output["shape"])
