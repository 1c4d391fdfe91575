"""From settings to objects: the one place that knows how the parts are put together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bbsmooth import data
from bbsmooth.certification import VoteSource
from bbsmooth.config import DataConfig, OracleConfig, SmoothingConfig
from bbsmooth.coordinator import Autoencoder, CoordinatedOracle, load
from bbsmooth.errors import UsageError
from bbsmooth.noise import ALGORITHM, Grid
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
from oracles.registry import open_oracle

LEDGER = "ledger.json"
RESPONSES = "responses"
COORDINATOR = "coordinator.safetensors"
FINE_BITS = 8
"""Binary digits of the noise grid beyond 8-bit pixels, for classifiers that take floats."""


def bare_oracle(config: OracleConfig) -> Oracle:
    """The oracle that the user named, with nothing around it."""
    local = config.oracle.partition("?")[0].partition(":")[0] in {"local-vit", "timm"}
    return open_oracle(config.oracle, {"device": config.device, "dtype": config.dtype} if local else {})


def images_for(config: DataConfig, spec: OracleSpec, split: data.Split) -> data.ImageSet:
    """The images that the user named, in the shape that the oracle takes."""
    if config.resize and spec.image_shape is None:
        raise UsageError(
            f"--resize needs to know which images {spec.name} takes; say it in the oracle's name, as in "
            "module:PATH.py:FUNCTION?image_shape=1x28x28"
        )
    return data.load(
        config.data,
        split=split,
        image_shape=spec.image_shape,
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
    if images is not None:
        context["data"] = {
            "name": images.name,
            "split": images.split.value,
            "fingerprint": images.fingerprint,
            "images": len(images),
            "image_shape": images.image_shape,
            "classes": images.classes,
        }
    return context


def charged(oracle: Oracle, ledger: Ledger, purpose: Purpose) -> Oracle:
    """The oracle behind the ledger. Each call is charged on its own, so chunks stand outside."""
    metered = MeteredOracle(oracle, ledger, purpose)
    limit = oracle.spec.max_batch
    return metered if limit is None else ChunkingOracle(metered, limit)


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
def account(run: RunDirectory, config: OracleConfig) -> Iterator[Account]:
    """The ledger and the responses of a run, released at the end."""
    ledger = _ledger(run.path, config)
    ledger.save()
    store = ResponseStore(run.path / RESPONSES)
    try:
        yield Account(ledger, store)
    finally:
        store.close()


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


def vote_source(
    oracle: Oracle, front: Front, smoothing: SmoothingConfig, kept: Account, purposes: tuple[Purpose, ...]
) -> VoteSource:
    """Votes of the smoothed classifier, charged and recorded."""
    classifiers: Mapping[Purpose, Oracle] = {
        purpose: front.before(charged(oracle, kept.ledger, purpose)) for purpose in purposes
    }
    seen = classifiers[purposes[0]]
    return VoteSource(
        oracles=classifiers,
        log=VoteLog(kept.store, seen.spec),
        noise=smoothing.distribution,
        grid=grid_for(seen, smoothing),
        seed=smoothing.seed,
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
