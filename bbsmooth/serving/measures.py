"""What a server has done: metrics for Prometheus, and statistics as Triton's clients ask for them.

Source: Triton's `protocol/extension_statistics.md` and `extension_model_configuration.md`. No key, client or image is
in them.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Counts
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

MEDIA_TYPE = CONTENT_TYPE_LATEST

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
"""Bins of times."""

_NANO = 1_000_000_000


class Measures:
    """Counters of one server, for any number of threads.

    Args:
        batch_size: most images in one call of the oracle.
        images: what these are, for people.
        ready: whether the server can be asked.

    Attributes:
        registry: of Prometheus; more may be added.
    """

    def __init__(self, *, batch_size: int, images: str, ready: Callable[[], bool]) -> None:
        """Nothing has happened."""
        own = self.registry = CollectorRegistry()
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)
        self._requests = Counter("bbsmooth_requests", "Inference requests, by HTTP status.", ["status"], registry=own)
        self._request_seconds = Histogram(
            "bbsmooth_request_seconds", "Time of answered inference requests.", buckets=SECONDS, registry=own
        )
        self._calls = Histogram(
            "bbsmooth_call_images",
            f"{images} in a call of the oracle; the sum is all queries.",
            buckets=sorted({max(1, batch_size * part // 8) for part in (1, 2, 4, 6, 7, 8)}),
            registry=own,
        )
        self._call_seconds = Histogram(
            "bbsmooth_call_seconds", "Time of a call of the oracle.", buckets=SECONDS, registry=own
        )
        Gauge("bbsmooth_ready", "Whether the server can be asked.", registry=own).set_function(ready)
        self._lock = threading.Lock()
        self._durations = {name: [0, 0.0] for name in ("success", "fail", "queue", "compute_infer")}
        self._batches: dict[int, list[float]] = {}
        self._counts = Counts[str]()
        self._last = 0

    def request(self, status: int, seconds: float) -> None:
        """One inference request got its reply, with a status of HTTP, that many seconds after it had come."""
        self._requests.labels(str(status)).inc()
        if status == 200:
            self._request_seconds.observe(seconds)
        with self._lock:
            self._add("success" if status == 200 else "fail", seconds)

    def answered(self, images: int) -> None:
        """Images got their answers."""
        with self._lock:
            self._counts["images"] += images
            self._last = time.time_ns() // 1_000_000

    def call(self, images: int, seconds: float, waited: Sequence[float] = ()) -> None:
        """One call of the oracle was answered.

        Args:
            images: in it.
            seconds: that it took.
            waited: seconds that each of its requests waited for it.
        """
        self._calls.observe(images)
        self._call_seconds.observe(seconds)
        with self._lock:
            self._counts["calls"] += 1
            self._add("compute_infer", seconds)
            for each in waited:
                self._add("queue", each)
            batch = self._batches.setdefault(images, [0, 0.0])
            batch[0] += 1
            batch[1] += seconds

    def text(self) -> bytes:
        """All of it for Prometheus, as `MEDIA_TYPE` says."""
        return generate_latest(self.registry)

    def statistics(self, name: str, version: str) -> dict[str, Any]:
        """The statistics of the model, in the words of Triton: counts, and nanoseconds in all."""
        with self._lock:
            return {
                "name": name,
                "version": version,
                "last_inference": self._last,
                "inference_count": self._counts["images"],
                "execution_count": self._counts["calls"],
                "inference_stats": {
                    part: _duration(*self._durations.get(part, (0, 0.0)))
                    for part in ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
                },
                "batch_stats": [
                    {"batch_size": size, "compute_infer": _duration(*spent)}
                    for size, spent in sorted(self._batches.items())
                ],
            }

    def _add(self, part: str, seconds: float) -> None:
        spent = self._durations[part]
        spent[0] += 1
        spent[1] += seconds


def _duration(count: float, seconds: float) -> dict[str, int]:
    return {"count": int(count), "ns": int(seconds * _NANO)}


_TYPES = {"BYTES": "STRING"}


def configuration(metadata: dict[str, Any], *, max_batch: int) -> dict[str, Any]:
    """The configuration of a model, in the words of Triton, from its metadata in the protocol's.

    Args:
        metadata: with inputs and outputs, whose first axis is that of the images.
        max_batch: most images in one request.
    """
    return {
        "name": metadata["name"],
        "platform": metadata["platform"],
        "backend": metadata["platform"],
        "max_batch_size": max_batch,
        "input": [_tensor(tensor) for tensor in metadata["inputs"]],
        "output": [_tensor(tensor) for tensor in metadata["outputs"]],
    }


def _tensor(described: dict[str, Any]) -> dict[str, Any]:
    datatype = described["datatype"]
    return {
        "name": described["name"],
        "data_type": f"TYPE_{_TYPES.get(datatype, datatype)}",
        "dims": described["shape"][1:] or [1],
    }
