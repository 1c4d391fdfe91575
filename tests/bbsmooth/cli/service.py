"""A classifier behind the Open Inference Protocol over real sockets, whose model can be exchanged."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.oracles.remote.misbehaving import Call, Fault, MisbehavingServer

SIDE = 8
METADATA = {
    "name": "shade",
    "versions": ["1"],
    "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 1, SIDE, SIDE]}],
    "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 3]}],
}


def first_model(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Dark or bright, by the mean; the third class is the second model's."""
    p = 1 / (1 + np.exp(-40 * (images.mean((1, 2, 3)) / 255 - 0.5)))
    return np.stack([1 - p, p, 0 * p], 1)


def second_model(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Always the third class."""
    return np.tile([0.05, 0.05, 0.9], (len(images), 1))


@dataclass
class Service:
    """Answers with the first model, and from some image on with the second.

    Attributes:
        switch: images that are answered before the second model takes over.
        announces: whether the second model is called version 2.
        fault: what goes wrong with a call, None for nothing.
        answered: how often each image was answered.
    """

    switch: float = math.inf
    announces: bool = False
    fault: Callable[[Call], Fault | None] = lambda call: None
    answered: Counter[str] = field(default_factory=Counter)
    server: MisbehavingServer = field(default_factory=MisbehavingServer)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def total(self) -> int:
        """Images answered."""
        return self.answered.total()

    @property
    def name(self) -> str:
        """What `--oracle` calls it."""
        return f"kserve+{self.address}"

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.server.port}/v2/models/shade"

    @contextmanager
    def running(self) -> Iterator[Service]:
        """Serve while the block runs."""
        self.server.misbehave = lambda call: self.fault(call) or self._answer
        with self.server.running():
            yield self

    def _answer(self, call: Call) -> None:
        if call.path.endswith("/infer"):
            call.reply(200, self._infer(json.loads(call.body)), content_type="application/json")
        elif call.path == "/v2/models/shade":
            call.reply(200, METADATA, content_type="application/json")
        elif call.path == "/v2":
            call.reply(200, {"name": "service", "extensions": []}, content_type="application/json")
        else:
            call.reply(200, {}, content_type="application/json")

    def _infer(self, question: dict[str, Any]) -> dict[str, Any]:
        tensor = question["inputs"][0]
        images = np.array(tensor["data"], dtype=np.float64).reshape(tensor["shape"])
        with self._lock:
            second = self.total >= self.switch
            self.answered.update(hashlib.sha256(image.tobytes()).hexdigest() for image in images)
        scores = (second_model if second else first_model)(images)
        return {
            "id": question["id"],
            "model_name": "shade",
            "model_version": "2" if second and self.announces else "1",
            "outputs": [
                {"name": "scores", "datatype": "FP32", "shape": list(scores.shape), "data": scores.ravel().tolist()}
            ],
        }
