"""Number of workers, and what each of them is given."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bbsmooth.errors import UsageError
from bbsmooth.settings.common import OracleConfig

_CUDA = "cuda"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Processors and GPUs of a cluster."""

    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Workers, and what each is given.

    Attributes:
        workers: how many.
        gpus: of each worker, 0 or 1.
        slots: batches that each worker is given at a time, so that it never waits for the next.
        threads: of them, how many it works on at once.
        device: of a local oracle in a worker.
    """

    workers: int
    gpus: int
    slots: int
    threads: int
    device: str


def place(config: OracleConfig, resources: Resources, *, remote: bool) -> Placement:
    """One worker a GPU where a local oracle may use them and there are any, else one a processor.

    A worker with a GPU, or with a remote oracle, is busy with several batches at once: while one is answered it draws
    the noise of another. One with a processor alone takes them in turn.

    Args:
        config: what the user wants; a `concurrency` of 0 means two batches a worker.
        resources: what there is.
        remote: whether the oracle is.

    Raises:
        UsageError: there is no GPU where one is asked for.
    """
    on_gpus = not remote and config.device in ("auto", _CUDA) and resources.gpus > 0
    if config.device == _CUDA and not on_gpus and not remote:
        raise UsageError("Ray knows of no GPU; use `device` cpu, or a cluster that has some")
    most = resources.gpus if on_gpus else resources.cpus
    if remote:
        most = min(most, config.concurrency)
    workers = config.workers or max(1, most)
    slots = math.ceil((config.concurrency or 2 * workers) / workers)
    return Placement(
        workers=workers,
        gpus=int(on_gpus),
        slots=slots,
        threads=slots if on_gpus or remote else 1,
        device=_CUDA if on_gpus else "cpu" if config.device == "auto" else config.device,
    )
