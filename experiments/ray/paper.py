"""A cluster on paper: how long a large certification takes and what it waits for, from what one machine has told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one machine has told.

    Attributes:
        driver_seconds_per_batch: of the process that keeps ledger and record, for a batch of no image.
        driver_seconds_per_vote: what each vote adds.
        call_seconds: of that process, for one call of a worker.
        noise_seconds_per_draw: of one processor, for one noisy copy.
        start_seconds: from the loss of a worker until another answers.
    """

    driver_seconds_per_batch: float
    driver_seconds_per_vote: float
    call_seconds: float
    noise_seconds_per_draw: float
    start_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be certified: n0 + n draws of each image."""

    images: int
    num_selection: int
    num_estimation: int

    @property
    def queries(self) -> int:
        """In all."""
        return self.images * (self.num_selection + self.num_estimation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Workers, all alike.

    Attributes:
        gpus: one a worker.
        processors: of each worker, which draw its noise.
        images_per_second: that a GPU answers when it is kept busy; an assumption, not a measurement.
        seats: batches that each worker is given at a time.
    """

    gpus: int
    processors: int
    images_per_second: float
    seats: int = 2


def forecast(task: Task, machines: Machines, batch: int, measured: Measured) -> dict[str, Any]:
    """How long it takes, and what limits it.

    A worker answers as fast as its GPU or the processors that draw noise for it, whichever is slower; both work at the
    same time, on different batches. One process takes down all batches, one after the other. Whoever is slower, it or
    all workers together, sets the pace. At the end a worker may be left with a batch that others have no part in.
    """
    worker = min(machines.images_per_second, machines.processors / measured.noise_seconds_per_draw)
    workers = machines.gpus * worker
    driver = batch / (
        measured.driver_seconds_per_batch + measured.call_seconds + measured.driver_seconds_per_vote * batch
    )
    tail = machines.seats * batch / worker
    seconds = task.queries / min(workers, driver) + tail
    ideal = task.queries / (machines.gpus * machines.images_per_second)
    noise_limits = worker < machines.images_per_second
    return {
        "batch": batch,
        "images_per_second_per_gpu": machines.images_per_second,
        "workers_queries_per_second": round(workers),
        "driver_queries_per_second": round(driver),
        "limited_by": "driver" if driver < workers else "noise" if noise_limits else "GPUs",
        "hours": round(seconds / 3600, 2),
        "share_of_ideal_speed": round(ideal / seconds, 3),
        "queries_lost_with_a_worker": machines.seats * batch,
        "seconds_lost_with_a_worker": round(measured.start_seconds + tail, 1),
    }


def table(
    task: Task, measured: Measured, *, gpus: int, processors: int, rates: Sequence[float], batches: Sequence[int]
) -> dict[str, Any]:
    """Forecasts for several speeds of a GPU and several batch sizes."""
    return {
        "queries": task.queries,
        "gpus": gpus,
        "processors_per_gpu": processors,
        "measured": {name: float(f"{value:.3g}") for name, value in asdict(measured).items()},
        "forecasts": [
            forecast(task, Machines(gpus=gpus, processors=processors, images_per_second=rate), batch, measured)
            for rate in rates
            for batch in batches
        ],
    }
