"""What a user can ask for: frozen settings, checked before anything is opened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution, Splitting, Uniform, noise_called
from oracles import Budget
from oracles.local import DTYPES
from oracles.replicas import ALL

SPEED = frozenset({"batch_size", "concurrency", "device", "engine", "workers"})
"""Settings on which no result depends."""

GROWING = frozenset({"budget", "max_attempts", "max_price", "price", "limit", "radii", "canary_every"})
"""Settings that a resumed run may change: more of the same, counted or checked otherwise."""

USUAL_CANARIES = 8
"""Canaries of a remote model, where the user does not say how many."""

STRING, NUMERIC = "string", "numeric"
"""Orders of class names that are numbers: "1", "10", "2", or 1, 2, 10."""

THREADS, RAY = "threads", "ray"
"""Engines: calls are answered by threads of this process, or by workers on a Ray cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleConfig:
    """Which oracle, and how to ask it.

    Args:
        oracle: its name, see `oracles.registry`.
        device: of local oracles; several between commas, or "all", for a replica on each.
        dtype: of local oracles' arithmetic.
        batch_size: images in one call.
        concurrency: calls under way at once, 0 for what the oracle's own description says.
        budget: queries that may be spent, None for no limit.
        price: of 1,000 queries, None for what the oracle's own description says, else nothing.
        max_price: what may be paid, None for no limit.
        max_attempts: requests that may be sent, repeated ones included, None for no limit.
        engine: who answers: "threads", "ray" for workers on this machine, or "ray://ADDRESS" for those of a cluster.
        workers: of Ray, 0 for one a GPU or processor.
    """

    oracle: str
    device: str
    dtype: str
    batch_size: int
    concurrency: int
    budget: int | None
    price: float | None
    max_price: float | None
    max_attempts: int | None = None
    engine: str = THREADS
    workers: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        scheme, _, address = self.engine.partition("://")
        if self.engine not in (THREADS, RAY) and (scheme != RAY or not address):
            raise UsageError(f"`engine` must be {THREADS}, {RAY} or {RAY}://ADDRESS, got {self.engine!r}")
        if self.on_several and self.on_ray:
            raise UsageError("`devices` is for one machine without Ray, whose workers have a device each; leave it out")
        if self.workers and not self.on_ray:
            raise UsageError("`workers` is for `engine` ray; `concurrency` says how many calls are under way at once")
        if self.dtype not in DTYPES:
            raise UsageError(f"`dtype` must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        for name, least in (("batch_size", 1), ("concurrency", 0), ("workers", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        for name in ("budget", "price", "max_price", "max_attempts"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise UsageError(f"`{name}` must be a number of at least 0, got {value}")

    @property
    def on_ray(self) -> bool:
        """Whether workers of Ray answer."""
        return self.engine.partition(":")[0] == RAY

    @property
    def on_several(self) -> bool:
        """Whether the oracle shall have replicas on several devices."""
        return "," in self.device or self.device == ALL

    @property
    def limits(self) -> Budget:
        """The budget."""
        return Budget(queries=self.budget, price_per_1000=self.price, money=self.max_price, attempts=self.max_attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothingConfig:
    """The noise, and what stands between it and the oracle.

    Args:
        sigma: standard deviation of the noise, white being 1.
        noise: its distribution.
        coordinator: directory of a `tune` run whose coordinator stands in front of the oracle, or of a diffusion model;
            None for the bare oracle.
        seed: of every draw.
    """

    sigma: float
    noise: str
    coordinator: Path | None
    seed: int

    def __post_init__(self) -> None:
        """Refuse noise that is none."""
        _ = self.mechanism

    @property
    def mechanism(self) -> NoiseDistribution | Splitting:
        """The noise."""
        try:
            return noise_called(self.noise, self.sigma)
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def distribution(self) -> NoiseDistribution:
        """The noise, where it has to be one that is added.

        Raises:
            UsageError: it is not.
        """
        if isinstance(mechanism := self.mechanism, Splitting):
            raise UsageError("`noise` splitting is for `bbsmooth certify` alone; uniform noise is the nearest to it")
        return mechanism

    @property
    def additive(self) -> SmoothingConfig:
        """The same, or with uniform noise in the place of splitting noise, whose cuts are as far apart."""
        return replace(self, noise=Uniform.name) if self.noise == Splitting.name else self


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which images.

    Args:
        data: name of the data set, see `bbsmooth.data`.
        resize: whether images are scaled and cropped to what the oracle takes.
        data_root: where downloaded sets lie, None for the usual place.
        download: whether a missing set may be fetched.
        class_order: in which the oracle's outputs follow class names that are numbers, "string" (as torchvision reads
            folders) or "numeric"; None where names decide.
    """

    data: str
    resize: bool
    data_root: Path | None
    download: bool
    class_order: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no order."""
        if self.class_order not in (None, STRING, NUMERIC):
            raise UsageError(f"`class_order` must be {STRING} or {NUMERIC}, got {self.class_order!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftConfig:
    """How a change of a remote model is noticed.

    Args:
        canaries: images that are asked again and again, None for the usual number, 0 for none.
        canary_every: queries after which they are asked.
    """

    canaries: int | None = None
    canary_every: int = 5_000

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.canaries is not None and self.canaries < 0:
            raise UsageError(f"`canaries` must not be negative, got {self.canaries}")
        if self.canary_every < 1:
            raise UsageError(f"`canary_every` must be at least 1 query, got {self.canary_every}")

    def number(self, remote: bool) -> int:
        """How many canaries: as asked for, else `USUAL_CANARIES` where the model is in other hands."""
        return (USUAL_CANARIES if remote else 0) if self.canaries is None else self.canaries


USUAL_DRIFT = DriftConfig()
"""What a user gets who says nothing about it."""


def settings(*configs: Any) -> dict[str, Any]:
    """All settings as JSON values, for the manifest."""
    merged: dict[str, Any] = {}
    for config in configs:
        merged |= asdict(config) if not isinstance(config, Mapping) else config
    return {key: str(value) if isinstance(value, Path) else value for key, value in merged.items()}
