"""Metrics for Prometheus. No key, client or image is in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import Counter, Gauge, Histogram

from bbsmooth.serving.measures import Measures
from bbsmooth.serving.smoothed.replies import Result

_QUERIES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


class Metrics:
    """Counters of one service: those of any server, and those of certificates.

    Args:
        batch_size: most draws in one call of the oracle.
        largest_radius: that can be certified.
        at_work: images at work now.
        ready: whether the service can be asked.

    Attributes:
        measures: those of any server.
    """

    def __init__(
        self, *, batch_size: int, largest_radius: float, at_work: Callable[[], int], ready: Callable[[], bool]
    ) -> None:
        """Nothing has happened."""
        self.measures = Measures(batch_size=batch_size, images="Noisy images", ready=ready)
        own = self.measures.registry
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
        Gauge("bbsmooth_images_at_work", "Places taken by images.", registry=own).set_function(at_work)

    def answered(self, results: Sequence[Result]) -> None:
        """Images got their answers."""
        self.measures.answered(len(results))
        for result in results:
            self._images.labels(result.reason or "certified").inc()
            self._image_queries.observe(result.queries)
            if result.certificate is not None:
                self._radius.observe(result.certificate.radius)
