"""Metrics for Prometheus. No key, client or image is in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from bbsmooth.serving.smoothed.replies import Result

MEDIA_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
_QUERIES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


class Metrics:
    """Counters of one service.

    Args:
        batch_size: most draws in one call of the oracle.
        largest_radius: that can be certified.
        at_work: images at work now.
        ready: whether the service can be asked.
    """

    def __init__(
        self, *, batch_size: int, largest_radius: float, at_work: Callable[[], int], ready: Callable[[], bool]
    ) -> None:
        """Nothing has happened."""
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)
        self._requests = Counter("bbsmooth_requests", "Inference requests, by HTTP status.", ["status"], registry=own)
        self._request_seconds = Histogram(
            "bbsmooth_request_seconds", "Time of answered inference requests.", buckets=_SECONDS, registry=own
        )
        self._images = Counter("bbsmooth_images", "Images answered: certified, or why not.", ["outcome"], registry=own)
        self._image_queries = Histogram(
            "bbsmooth_image_queries", "Queries for an answered image.", buckets=_QUERIES, registry=own
        )
        self._radius = Histogram(
            "bbsmooth_certified_radius",
            "Radii of certificates.",
            buckets=sorted({round(largest_radius * tenth / 10, 4) for tenth in range(1, 11)}),
            registry=own,
        )
        self._draws = Histogram(
            "bbsmooth_call_images",
            "Noisy images in a call of the oracle; the sum is all queries.",
            buckets=sorted({max(1, batch_size * part // 8) for part in (1, 2, 4, 6, 7, 8)}),
            registry=own,
        )
        self._call_seconds = Histogram(
            "bbsmooth_call_seconds", "Time of a call: noise, oracle, record.", buckets=_SECONDS, registry=own
        )
        Gauge("bbsmooth_images_at_work", "Places taken by images.", registry=own).set_function(at_work)
        Gauge("bbsmooth_ready", "Whether the service can be asked.", registry=own).set_function(ready)

    def call(self, draws: int, seconds: float) -> None:
        """One call of the oracle was answered."""
        self._draws.observe(draws)
        self._call_seconds.observe(seconds)

    def request(self, status: int, seconds: float) -> None:
        """One request got its reply."""
        self._requests.labels(str(status)).inc()
        if status == 200:
            self._request_seconds.observe(seconds)

    def answered(self, results: Sequence[Result]) -> None:
        """Images got their answers."""
        for result in results:
            self._images.labels(result.reason or "certified").inc()
            self._image_queries.observe(result.queries)
            if result.certificate is not None:
                self._radius.observe(result.certificate.radius)

    def text(self) -> bytes:
        """All of it, as `MEDIA_TYPE` says."""
        return generate_latest(self._registry)
