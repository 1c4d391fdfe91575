"""Choice of who answers: this process, or workers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from bbsmooth.coordinator import Coordinator
from bbsmooth.engines.answering import WorkerSpec
from bbsmooth.engines.placement import place
from bbsmooth.engines.pool import WorkerPool
from bbsmooth.engines.pooled import PooledOracle
from bbsmooth.engines.ray_cluster import AUTO, connected, require_ray
from bbsmooth.errors import UsageError
from bbsmooth.settings.common import OracleConfig
from oracles import Oracle
from oracles.capabilities import server_of

_SCHEME = "ray://"
_ADDRESS = re.compile(r"auto|(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}")


def require_engine(config: OracleConfig) -> None:
    """Nothing, where what the engine needs is installed, and goes with the device.

    Raises:
        UsageError: it does not, or there can be no cluster under the address.
    """
    if not config.on_ray:
        return
    require_ray()
    address = config.engine.removeprefix(_SCHEME)
    if address != config.engine and not _ADDRESS.fullmatch(address):  # Ray would look for it for half a minute
        raise UsageError(
            f"`engine` ray:// needs auto, or HOST:PORT of a cluster's Ray Client server (port 10001 unless you changed "
            f"it), got {address!r}"
        )
    if config.device.startswith("cuda:"):
        raise UsageError(
            f"with `engine` ray each worker has a GPU of its own; use `device` cuda, not {config.device!r}"
        )


@contextmanager
def engine(
    home: Oracle,
    config: OracleConfig,
    front: tuple[Coordinator, Tensor] | None,
    opened_on: Callable[[str], Oracle],
) -> Iterator[tuple[Oracle, OracleConfig]]:
    """The oracle to ask, and how to ask it: `home` itself, or workers that have opened the same.

    Args:
        home: the bare oracle, as this process has opened it.
        config: the settings.
        front: the coordinator in front of it and its parameters (P,), None for nothing.
        opened_on: opens the oracle on a device; can be pickled.

    Raises:
        UsageError: the engine is not installed, or cannot work as it was asked to.
        OracleError: a worker cannot open the oracle.
    """
    if not config.on_ray:
        yield home, config
        return
    server = server_of(home)
    with connected(_address(config.engine), cpus=config.workers or None) as cluster:
        placement = place(config, cluster.resources, remote=server is not None)
        start = cluster.starter(
            WorkerSpec(opening=partial(opened_on, placement.device), front=front, folder=Path.cwd()),
            placement,
            seconds_between=0.0 if server is None else server.limits.seconds_between_requests,
        )
        pool = WorkerPool(start, workers=placement.workers, slots=placement.slots, fingerprint=home.spec.fingerprint)
        try:
            pool.open()
            concurrency = config.concurrency or placement.workers * placement.slots
            yield PooledOracle(pool, home, home.spec), replace(config, concurrency=concurrency)
        finally:
            pool.close()


def _address(name: str) -> str | None:
    """Address of the cluster, as `ray.init` takes it; None for one that is to be started here."""
    address = name.removeprefix(_SCHEME)
    return None if address == name else AUTO if address == AUTO else name
