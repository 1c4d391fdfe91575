"""From settings to objects: the one place that knows how the parts are put together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bbsmooth import data
from bbsmooth.certification import VoteSource
from bbsmooth.config import DataConfig, OracleConfig, SmoothingConfig
from bbsmooth.coordinator import Autoencoder, CoordinatedOracle, load
from bbsmooth.errors import UsageError
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
from oracles.watch import NoWatch, Watch

LEDGER = "ledger.json"
COORDINATOR = "coordinator.safetensors"
_LOCAL_CALLS = 2
FINE_BITS = 8
"""Binary digits of the noise grid beyond 8-bit pixels, for classifiers that take floats."""


def bare_oracle(config: OracleConfig) -> Oracle:
    """The oracle that the user named, with nothing around it."""
    local = config.oracle.partition("?")[0].partition(":")[0] in {"local-vit", "timm", "trained"}
    return open_oracle(config.oracle, {"device": config.device, "dtype": config.dtype} if local else {})


def opened(config: OracleConfig) -> tuple[Oracle, OracleConfig]:
    """The oracle that the user named, and how to ask it: where the user is silent, as its own description says.

    Raises:
        UsageError: a limit on money without a price.
    """
    oracle = bare_oracle(config)
    price, calls = config.price, config.concurrency or _LOCAL_CALLS
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
    if isinstance(oracle, RemoteOracle):
        oracle.begin(ledger.traffic)
        asked: Oracle = RetryingOracle(
            _attempt(oracle, ledger, purpose),
            canary=_attempt(oracle, ledger, Purpose.DRIFT),
            line=oracle.line,
            attempts=oracle.terms.attempts,
            retried=ledger.traffic.retried,
        )
    else:
        asked = MeteredOracle(oracle, ledger, purpose)
    limit = oracle.spec.max_batch
    return asked if limit is None else ChunkingOracle(asked, limit)


def interruption(oracle: Oracle) -> Callable[[], None]:
    """What makes calls of the oracle that wait give up at once; nothing where none waits."""
    return oracle.interrupt if isinstance(oracle, RemoteOracle) else lambda: None


def _attempt(oracle: RemoteOracle, ledger: Ledger, purpose: Purpose) -> Oracle:
    return PacedOracle(MeteredOracle(oracle, ledger, purpose, attempts=1), oracle.pace)


def load_coordinator(path: Path, sigma: float) -> tuple[Autoencoder, Tensor]:
    """The coordinator and its parameters (P,) in the directory of a `tune` run.

    Raises:
        UsageError: there is none, or it was made for another sigma.
    """
    file = path / COORDINATOR
    if not file.is_file():
        raise UsageError(f"{path} holds no {COORDINATOR}; name the directory of a finished `bbsmooth tune` run")
    try:
        coordinator, parameters = load(file)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if coordinator.sigma != sigma:
        raise UsageError(f"{file} was made for sigma {coordinator.sigma:g}, not {sigma:g}; tune one for {sigma:g}")
    return coordinator, parameters


@dataclass(frozen=True, slots=True)
class Front:
    """What stands between the noise and the oracle.

    Args:
        path: directory of a `tune` run, None for nothing.
        sigma: of the noise, to tell whether the coordinator was made for it.
    """

    path: Path | None
    sigma: float

    def before(self, oracle: Oracle) -> Oracle:
        """The oracle with the coordinator in front of it, or as it is.

        Raises:
            UsageError: there is no coordinator, or it does not fit the oracle's images or the noise.
        """
        if self.path is None:
            return oracle
        coordinator, parameters = load_coordinator(self.path, self.sigma)
        shape = oracle.spec.image_shape
        if shape is not None and coordinator.image_shape != shape:
            raise UsageError(
                f"{self.path} is a coordinator for images {coordinator.image_shape}, the oracle takes {shape}"
            )
        return CoordinatedOracle(coordinator, parameters, oracle)


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
    """The ledger and the responses of a run, with the answers of an earlier one, released at the end."""
    ledger = _ledger(run.path, config)
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


def _ledger(folder: Path, config: OracleConfig) -> Ledger:
    """The account of a run, with what was spent on it.

    Raises:
        UsageError: it is gone or unreadable, so that nobody knows what was spent.
    """
    path = folder / LEDGER
    if not path.exists() and (folder / RESPONSES).exists():
        raise UsageError(f"{path} is gone, so nobody knows what was spent; restore it, or name another --out")
    try:
        return Ledger(config.limits, path)
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
    bare = {
        purpose: watch.guard(IdentifiedOracle(charged(oracle, kept.ledger, purpose), kept.store))
        for purpose in (*purposes, *clean)
    }
    classifiers = {purpose: front.before(asked) if purpose in purposes else asked for purpose, asked in bare.items()}
    seen = classifiers[purposes[0]]
    return VoteSource(
        oracles=classifiers,
        log=VoteLog(watch.store, seen.spec),
        copies=copies_for(seen, smoothing),
        clean=clean,
        interrupt=interruption(oracle),
    )


def describe_coordinator(path: Path | None) -> dict[str, Any]:
    """What a manifest says of the coordinator in the directory of a `tune` run: what it is, not the bytes of its file.

    The same coordinator may be written in other bytes, since safetensors keeps its metadata in no fixed order.
    """
    if path is None:
        return {"coordinator": None}
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
