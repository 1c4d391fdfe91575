"""From settings to objects: the one place that knows how the parts are put together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bbsmooth import data
from bbsmooth.certification import VoteSource
from bbsmooth.config import DataConfig, OracleConfig, SmoothingConfig
from bbsmooth.coordinator import CoordinatedOracle, Coordinator, load
from bbsmooth.coordinator.diffusion import DiffusionDenoiser, diffusion_digest, is_diffusion, load_diffusion
from bbsmooth.engines.deferred import DeferredCopies
from bbsmooth.engines.opening import engine, require_engine
from bbsmooth.engines.pooled import ElsewhereOracle, PooledOracle
from bbsmooth.errors import UsageError
from bbsmooth.mirroring import active_mirror
from bbsmooth.noise import ALGORITHM, Grid, NoisyCopies, Splitting, SplitViews
from bbsmooth.noise.copies import Copies
from bbsmooth.reusing import RESPONSES, Reused
from bbsmooth.runs import RunDirectory
from oracles import (
    ChunkingOracle,
    Ledger,
    MeteredOracle,
    Oracle,
    OracleSpec,
    Purpose,
    ResponseStore,
    StorageError,
    VoteLog,
)
from oracles.identity import IdentifiedOracle
from oracles.registry import open_oracle
from oracles.remote.pacing import PacedOracle
from oracles.remote.remote import RemoteOracle
from oracles.remote.retrying import RetryingOracle
from oracles.replicas import ReplicatedOracle, replicated, several_devices
from oracles.watch import NoWatch, Watch

LEDGER = "ledger.json"
COORDINATOR = "coordinator.safetensors"
_LOCAL_CALLS = 2  # on each device: one draws its noise while the other is answered
_LOCAL = frozenset({"local-vit", "timm", "trained"})
FINE_BITS = 8
"""Binary digits of the noise grid beyond 8-bit pixels, for classifiers that take floats."""


def bare_oracle(config: OracleConfig) -> Oracle:
    """The oracle that the user named, with nothing around it.

    Raises:
        UsageError: several devices for one that is not local.
        SpecError: see `open_oracle` and `replicated`.
    """
    local = config.oracle.partition("?")[0].partition(":")[0] in _LOCAL
    devices = several_devices(config.device) if config.on_several else ()
    if devices and not local:
        raise UsageError(f"--devices is for oracles that run here ({', '.join(sorted(_LOCAL))}), not {config.oracle!r}")
    if devices:
        return replicated(lambda device: open_oracle(config.oracle, {"device": device, "dtype": config.dtype}), devices)
    return open_oracle(config.oracle, {"device": config.device, "dtype": config.dtype} if local else {})


def opened(config: OracleConfig) -> tuple[Oracle, OracleConfig]:
    """The oracle that the user named, and how to ask it: where the user is silent, as its own description says.

    Raises:
        UsageError: a limit on money without a price, or an engine that is not installed.
    """
    require_engine(config)
    oracle = bare_oracle(replace(config, device="cpu") if config.on_ray else config)  # workers have the devices
    price, replicas = config.price, len(oracle.replicas) if isinstance(oracle, ReplicatedOracle) else 1
    calls = config.concurrency or (0 if config.on_ray else _LOCAL_CALLS * replicas)  # 0: as many as workers can take
    if isinstance(oracle, RemoteOracle):
        price = oracle.terms.price_per_1000 if price is None else price
        calls = config.concurrency or oracle.terms.concurrency
    if config.max_price is not None and not price:
        raise UsageError("--max-price needs --price, the price of 1,000 queries, above 0")
    batch = min(config.batch_size, oracle.spec.max_batch or config.batch_size)
    return oracle, replace(config, price=price, concurrency=calls, batch_size=batch)


def images_for(config: DataConfig, spec: OracleSpec, split: data.Split) -> data.ImageSet:
    """The images that the user named, in the shape that the oracle takes."""
    if config.resize and spec.image_shape is None:
        raise UsageError(
            f"--resize needs to know which images {spec.name} takes; say it in the oracle's name, as in "
            "module:PATH.py:FUNCTION?image_shape=1x28x28"
        )
    return load_images(config, split, spec.image_shape)


def load_images(config: DataConfig, split: data.Split, image_shape: tuple[int, int, int] | None) -> data.ImageSet:
    """The images that the user named, in a shape, or as they are."""
    return data.load(
        config.data,
        split=split,
        image_shape=image_shape,
        resize=config.resize,
        root=config.data_root,
        download=config.download,
    )


def describe(spec: OracleSpec, images: data.ImageSet | None) -> dict[str, Any]:
    """What a manifest says of the oracle, the data and the noise: it must be the same when a run is resumed."""
    context: dict[str, Any] = {
        "oracle": {
            "name": spec.name,
            "fingerprint": spec.fingerprint,
            "classes": "open" if spec.classes.open_set else list(spec.classes.names),
            "image_shape": spec.image_shape,
            "feedback": spec.feedback.value,
            "deterministic": spec.deterministic,
        },
        "noise_algorithm": ALGORITHM,
    }
    return context if images is None else context | describe_images(images)


def describe_images(images: data.ImageSet) -> dict[str, Any]:
    """What a manifest says of the data."""
    return {
        "data": {
            "name": images.name,
            "split": images.split.value,
            "fingerprint": images.fingerprint,
            "images": len(images),
            "image_shape": images.image_shape,
            "classes": images.classes,
        }
    }


def charged(oracle: Oracle, ledger: Ledger, purpose: Purpose) -> Oracle:
    """The oracle behind the ledger. Each call is charged on its own, so chunks stand outside.

    A remote one is asked again where that can help. Each attempt waits for its turn before it is charged, and those who
    find out whose fault a failure is do so on the account of drift.
    """
    server = oracle.home if isinstance(oracle, PooledOracle) else oracle
    if isinstance(server, RemoteOracle):
        server.begin(ledger.traffic)
        asked: Oracle = RetryingOracle(
            _attempt(oracle, ledger, purpose, server),
            canary=_attempt(oracle, ledger, Purpose.DRIFT, server),
            line=server.line,
            attempts=server.terms.attempts,
            retried=ledger.traffic.retried,
        )
    else:
        asked = _attempt(oracle, ledger, purpose)
    limit = oracle.spec.max_batch
    return asked if limit is None else ChunkingOracle(asked, limit)


def interruption(oracle: Oracle) -> Callable[[], None]:
    """What makes calls of the oracle that wait give up at once; nothing where none waits."""
    return oracle.interrupt if isinstance(oracle, (RemoteOracle, PooledOracle)) else lambda: None


def _attempt(oracle: Oracle, ledger: Ledger, purpose: Purpose, server: RemoteOracle | None = None) -> Oracle:
    """One try: in its turn where it goes to a server, charged, and again elsewhere where a worker is lost with it."""
    attempt: Oracle = MeteredOracle(oracle, ledger, purpose, attempts=0 if server is None else 1)
    if server is not None:
        attempt = PacedOracle(attempt, server.pace)
    return ElsewhereOracle(attempt) if isinstance(oracle, PooledOracle) else attempt


def load_coordinator(path: Path, sigma: float) -> tuple[Coordinator, Tensor]:
    """The coordinator and its parameters (P,) in the directory of a `tune` run, or of a diffusion model.

    Raises:
        UsageError: there is none, or it was made for another sigma.
    """
    file = path / COORDINATOR
    if not file.is_file():
        if is_diffusion(path):
            diffusion = _diffusion(path, sigma, diffusion_digest(path))
            return diffusion, diffusion.initial_parameters()
        raise UsageError(
            f"{path} holds no {COORDINATOR}; name the directory of a finished `bbsmooth tune` run, or of a diffusers "
            "model"
        )
    try:
        coordinator, parameters = load(file)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if coordinator.sigma != sigma:
        raise UsageError(f"{file} was made for sigma {coordinator.sigma:g}, not {sigma:g}; tune one for {sigma:g}")
    return coordinator, parameters


@lru_cache(maxsize=1)
def _diffusion(path: Path, sigma: float, digest: str) -> DiffusionDenoiser:
    """One model in memory for all purposes; `digest` tells whether its folder is still the same."""
    return load_diffusion(path, sigma)


@dataclass(frozen=True, slots=True)
class Front:
    """What stands between the noise and the oracle.

    Args:
        path: directory of a `tune` run or of a diffusion model, None for nothing.
        sigma: of the noise, to tell whether the coordinator was made for it.
    """

    path: Path | None
    sigma: float

    def before(self, oracle: Oracle) -> Oracle:
        """The oracle with the coordinator in front of it, or as it is.

        Raises:
            UsageError: there is no coordinator, or it does not fit the oracle's images or the noise.
        """
        if (parts := self.parts) is None:
            return oracle
        coordinator, parameters = parts
        shape = oracle.spec.image_shape
        if shape is not None and coordinator.image_shape != shape:
            raise UsageError(
                f"{self.path} is a coordinator for images {coordinator.image_shape}, the oracle takes {shape}"
            )
        return CoordinatedOracle(coordinator, parameters, oracle)

    @property
    def parts(self) -> tuple[Coordinator, Tensor] | None:
        """The coordinator and its parameters (P,), None for nothing.

        Raises:
            UsageError: there is no coordinator, or it was made for another sigma.
        """
        return None if self.path is None else load_coordinator(self.path, self.sigma)


def answering(
    oracle: Oracle, config: OracleConfig, front: Front
) -> AbstractContextManager[tuple[Oracle, OracleConfig]]:
    """Who answers in the place of `oracle`, and how to ask: it, or workers that have opened the same.

    Args:
        oracle: the bare one, as this process has opened it.
        config: the settings.
        front: stands before it where votes are asked for.
    """
    return engine(oracle, config, front.parts, partial(_opened_on, config))


def _opened_on(config: OracleConfig, device: str) -> Oracle:
    return bare_oracle(replace(config, device=device))


@dataclass(frozen=True, slots=True)
class Account:
    """Where a run keeps what it spent and what it was told.

    Attributes:
        ledger: what was spent.
        store: the answers.
    """

    ledger: Ledger
    store: ResponseStore

    @property
    def affordable(self) -> int | None:
        """Queries that may still be spent, None for no limit."""
        return None if self.ledger.remaining is None else max(0, self.ledger.remaining)


@contextmanager
def account(run: RunDirectory, config: OracleConfig, *, reuse: Reused | None = None) -> Iterator[Account]:
    """The ledger and the responses of a run, with the answers of an earlier one, released at the end.

    Where the run is mirrored, nothing is charged before its other place can know of it.
    """
    mirror = active_mirror(run.path)
    ledger = _ledger(run.path, config, None if mirror is None else mirror.cover)
    ledger.save()
    if reuse is not None:
        reuse.copy_answers(run.path)
    store = ResponseStore(run.path / RESPONSES)
    try:
        yield Account(ledger, store)
    finally:
        store.close()
        with suppress(StorageError):  # on a full disk; every charge is there, only traffic since the last one is not
            ledger.save()


def _ledger(folder: Path, config: OracleConfig, told: Callable[[Mapping[str, Any]], None] | None) -> Ledger:
    """The account of a run, with what was spent on it.

    Raises:
        UsageError: it is gone or unreadable, so that nobody knows what was spent.
    """
    path = folder / LEDGER
    if not path.exists() and (folder / RESPONSES).exists():
        raise UsageError(f"{path} is gone, so nobody knows what was spent; restore it, or name another --out")
    try:
        return Ledger(config.limits, path, told=told)
    except StorageError as error:
        raise UsageError(f"{error}; restore it, or name another --out") from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is not a ledger ({error}); restore it, or name another --out") from error


def grid_for(oracle: Oracle, smoothing: SmoothingConfig) -> Grid:
    """The grid on which noise is drawn for an oracle, or for what stands in front of it.

    Raises:
        UsageError: the noise is too strong for it.
    """
    grid = Grid(0 if oracle.spec.eight_bit else FINE_BITS)
    try:
        grid.check(smoothing.distribution)
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    return grid


def copies_for(oracle: Oracle, smoothing: SmoothingConfig) -> Copies:
    """What is drawn for an oracle, or for what stands in front of it.

    Raises:
        UsageError: the noise is too strong for its grid, or needs an oracle that answers the same image the same.
    """
    noise = smoothing.mechanism
    if not isinstance(noise, Splitting):
        return NoisyCopies(noise=noise, grid=grid_for(oracle, smoothing), seed=smoothing.seed)
    if not oracle.spec.deterministic:
        raise UsageError(
            f"--noise splitting proves nothing for {oracle.spec.name}, which may answer equal images otherwise"
        )
    return SplitViews(noise=noise, seed=smoothing.seed, eight_bit=oracle.spec.eight_bit)


def vote_source(
    oracle: Oracle,
    front: Front,
    smoothing: SmoothingConfig,
    kept: Account,
    purposes: tuple[Purpose, ...],
    *,
    watch: Watch | None = None,
    clean: frozenset[Purpose] = frozenset(),
) -> VoteSource:
    """Votes of the smoothed classifier, charged and recorded.

    Args:
        oracle: the bare one.
        front: stands before it.
        smoothing: the noise.
        kept: the account of the run.
        purposes: of the votes.
        watch: sees to it that the oracle stays the same, None for nobody.
        clean: further purposes, for which the bare oracle is shown images without noise.
    """
    watch = watch or NoWatch(kept.store)

    def guarded(asked: Oracle, purpose: Purpose) -> Oracle:
        return watch.guard(IdentifiedOracle(charged(asked, kept.ledger, purpose), kept.store))

    if isinstance(oracle, PooledOracle):  # the workers have the front, and draw the noise
        voter = oracle.voter(front.before(oracle.home))
        classifiers = {purpose: guarded(voter, purpose) for purpose in purposes}
        dtype = torch.uint8 if voter.spec.eight_bit else torch.float32
        copies: Copies = DeferredCopies(copies_for(voter, smoothing), dtype)
    else:
        classifiers = {purpose: front.before(guarded(oracle, purpose)) for purpose in purposes}
        copies = copies_for(classifiers[purposes[0]], smoothing)
    return VoteSource(
        oracles=classifiers | {purpose: guarded(oracle, purpose) for purpose in clean},
        log=VoteLog(watch.store, classifiers[purposes[0]].spec),
        copies=copies,
        clean=clean,
        interrupt=interruption(oracle),
    )


def describe_coordinator(path: Path | None) -> dict[str, Any]:
    """What a manifest says of the coordinator in a directory: what it is, not the bytes of its file.

    The same coordinator may be written in other bytes, since safetensors keeps its metadata in no fixed order.
    """
    if path is None:
        return {"coordinator": None}
    if not (path / COORDINATOR).is_file() and is_diffusion(path):
        return {"coordinator": {"fingerprint": diffusion_digest(path)}}
    coordinator, parameters = load(path / COORDINATOR)
    digest = hashlib.sha256(bytes.fromhex(coordinator.fingerprint) + parameters.contiguous().numpy().tobytes())
    return {"coordinator": {"fingerprint": digest.hexdigest()}}


def describe_classifier(spec: OracleSpec) -> dict[str, Any]:
    """What a manifest says of all that comes after the noise: an oracle with what stands in front of it."""
    return {"classifier": {"fingerprint": spec.fingerprint, "eight_bit": spec.eight_bit}}


def refuse_small_budget(config: OracleConfig, queries: int, which: str) -> None:
    """Refuse a budget that cannot pay for one image.

    Args:
        config: holds the budget.
        queries: for one image.
        which: the settings that add up to them.

    Raises:
        UsageError: the budget is smaller than that.
    """
    limit = config.limits.limit
    if limit is not None and limit < queries:
        raise UsageError(
            f"a budget of {limit} queries cannot pay for one image: {which} = {queries}; raise it, or lower --n"
        )
