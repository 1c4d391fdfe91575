"""A Ray cluster and the workers on it. The only file that imports Ray, and only when it is asked for."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor

from bbsmooth.engines.answering import Answering, WorkerSpec
from bbsmooth.engines.placement import Placement, Resources
from bbsmooth.engines.pool import Handshake, Worker, WorkerDied
from bbsmooth.engines.replies import WorkerReply
from bbsmooth.errors import UsageError
from oracles import OracleError
from oracles.remote.rate_limiter import TokenBucket

LOOPBACK = "127.0.0.1"
AUTO = "auto"
"""The address of the cluster that this machine belongs to."""

OBJECT_STORE_BYTES = 100 * 2**20

_CONTROL = "control"
_LOOK_SECONDS = 0.1
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "error",  # one line on stderr says it all
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # its default to come; without it, Ray warns of it
}
_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Without clusters of several machines Ray listens to its own one only, on any system. It is read at the import."""

_TOKEN = "RAY_AUTH_TOKEN"


def require_ray() -> None:
    """Nothing, where Ray is installed.

    Raises:
        UsageError: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("`engine` ray needs Ray; install it by `pip install 'bbsmooth[ray]'`")


@contextmanager
def connected(address: str | None, *, cpus: int | None = None) -> Iterator[Cluster]:
    """Ray while the block runs.

    A cluster that is started here is private: its processes listen on the loopback address only, ask for a token that
    no file holds, report nothing to anybody, and end with this process, however that ends. A process that is connected
    to Ray already stays so, whatever `address` says.

    Args:
        address: "auto" or "ray://HOST:PORT", as for `ray.init`; None starts a cluster on this machine.
        cpus: processors that a cluster started here shall have, None for those of the machine.

    Raises:
        UsageError: Ray is not installed, there is no cluster at `address`, or a private one would not be private.
    """
    require_ray()
    alone = {} if address else {_CLUSTERS: "0", _TOKEN: secrets.token_hex(32)}
    for name, value in (_ENVIRONMENT | alone).items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield Cluster(ray)
        return
    with tempfile.TemporaryDirectory(prefix="bbs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        try:
            _start(ray, folder, cpus) if address is None else _join(ray, address)
            yield Cluster(ray)
        finally:
            ray.shutdown()


def _start(ray: Any, folder: str, cpus: int | None) -> None:
    """Start a private cluster; sockets and logs go to a folder within `folder`, since Ray lets everybody into its own.

    The name of `folder` has to be short, as names of sockets are.
    """
    _init(
        ray,
        address="local",
        num_cpus=cpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _node_ip_address=LOOPBACK,
        _temp_dir=f"{folder}/r",
    )
    if (found := ray.util.get_node_ip_address()) != LOOPBACK:
        raise UsageError(
            f"Ray listens on {found}, where other machines may reach it; set {_CLUSTERS}=0 before Ray is imported"
        )


def _join(ray: Any, address: str) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):  # the error says it
            _init(ray, address=address)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        if address == AUTO and isinstance(error, ConnectionError):  # Ray's own advice is about options of its own
            raise UsageError(
                "this machine belongs to no Ray cluster; start or join one by `ray start`, or take `engine` ray for a "
                "private one"
            ) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"no Ray cluster answers at {address}: {reason}") from error


def _init(ray: Any, **settings: Any) -> None:
    """`ray.init`, after which SIGTERM does what it did before: Ray's own handler would leave without a word."""
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(log_to_driver=False, logging_level="ERROR", **settings)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this process is connected to.

    Args:
        ray: the package.
    """

    ray: Any

    @property
    def resources(self) -> Resources:
        """Processors and GPUs of all nodes."""
        resources = self.ray.cluster_resources()
        return Resources(cpus=int(resources.get("CPU", 0)), gpus=int(resources.get("GPU", 0)))

    def starter(self, spec: WorkerSpec, placement: Placement, *, seconds_between: float) -> Callable[[], Worker]:
        """Function that starts one worker.

        Args:
            spec: what it needs to know.
            placement: what it is given.
            seconds_between: the beginnings of two requests of a remote oracle, over all workers; 0 for no limit.
        """
        turns = None
        if seconds_between:
            keeper = self.ray.remote(_SharedRateLimiter).options(num_cpus=0, max_restarts=-1, max_task_retries=-1)
            turns = keeper.remote(seconds_between)
            spec = replace(spec, next_slot=partial(_take_turn, turns))
        remote = self.ray.remote(
            num_cpus=1,
            num_gpus=placement.gpus,
            max_concurrency=placement.threads,
            concurrency_groups={_CONTROL: 1},
            enable_task_events=False,  # a quarter of what a call costs this process
        )
        actor = remote(Answering)
        kept = self.ray.put(spec)
        return lambda: _RayWorker(self.ray, actor.remote(kept), turns)


class _RayWorker:
    """A `Worker` on Ray; the shared rate limiter lives as long as somebody knows it."""

    def __init__(self, ray: Any, actor: Any, turns: Any) -> None:
        self._ray, self._actor, self._turns = ray, actor, turns
        errors = ray.exceptions
        self._lost = (
            errors.RayActorError,
            errors.WorkerCrashedError,
            errors.ObjectLostError,
            errors.OutOfMemoryError,
            errors.NodeDiedError,
        )

    def handshake(self, unwanted: Callable[[], bool]) -> Handshake:
        reference = self._actor.handshake.remote()
        while not self._ray.wait([reference], timeout=_LOOK_SECONDS)[0]:
            if unwanted():
                self._ray.kill(self._actor)
                raise WorkerDied("a worker was dismissed before it was ready")
        reply: Handshake | OracleError = self._result(reference)
        if isinstance(reply, OracleError):
            raise reply
        return reply

    def answer(self, images: Tensor, voting: bool) -> WorkerReply:
        reply: WorkerReply = self._result(self._actor.answer.remote(images, voting))
        return reply

    def interrupt(self) -> None:
        self._actor.interrupt.options(concurrency_group=_CONTROL).remote()

    def _result(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._lost as error:
            self._ray.kill(self._actor)  # where it is only out of reach, it must not go on
            raise WorkerDied(" ".join(str(error).split())) from error


class _SharedRateLimiter:
    """Lets requests of all workers begin one after the other."""

    def __init__(self, seconds: float) -> None:
        import ray

        self._bucket = TokenBucket(seconds)
        if ray.get_runtime_context().was_current_actor_reconstructed:
            self.take()  # nobody knows when the last one was

    def take(self) -> float:
        """Seconds to wait for the next turn."""
        return self._bucket.take(time.monotonic())


def _take_turn(turns: Any) -> float:
    import ray

    waiting: float = ray.get(turns.take.remote())
    return waiting
