"""What a user can ask for: frozen settings, checked before anything is opened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bbsmooth.errors import UsageError
from bbsmooth.noise import DISTRIBUTIONS, NoiseDistribution
from bbsmooth.resuming import option
from oracles import Budget

SPEED = frozenset({"batch_size", "concurrency", "device"})
"""Settings on which no result depends."""

GROWING = frozenset({"budget", "max_price", "price", "limit", "radii"})
"""Settings that a resumed run may change: more of the same, or counted otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleConfig:
    """Which oracle, and how to ask it.

    Args:
        oracle: its name, see `oracles.registry`.
        device: of local oracles.
        dtype: of local oracles' arithmetic.
        batch_size: images in one call.
        concurrency: calls under way at once.
        budget: queries that may be spent, None for no limit.
        price: of 1,000 queries, None where they cost nothing.
        max_price: what may be paid, None for no limit.
    """

    oracle: str
    device: str
    dtype: str
    batch_size: int
    concurrency: int
    budget: int | None
    price: float | None
    max_price: float | None

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("batch_size", "concurrency"):
            if getattr(self, name) < 1:
                raise UsageError(f"{option(name)} must be at least 1, got {getattr(self, name)}")
        for name in ("budget", "price", "max_price"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise UsageError(f"{option(name)} must be a number of at least 0, got {value}")
        if self.max_price is not None and not self.price:
            raise UsageError("--max-price needs --price, the price of 1,000 queries, above 0")

    @property
    def limits(self) -> Budget:
        """The budget."""
        return Budget(queries=self.budget, price_per_1000=self.price, money=self.max_price)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothingConfig:
    """The noise, and what stands between it and the oracle.

    Args:
        sigma: standard deviation of the noise, white being 1.
        noise: its distribution.
        coordinator: directory of a `tune` run whose coordinator stands in front of the oracle, None for the bare one.
        seed: of every draw.
    """

    sigma: float
    noise: str
    coordinator: Path | None
    seed: int

    def __post_init__(self) -> None:
        """Refuse noise that is none."""
        if self.noise not in DISTRIBUTIONS:
            raise UsageError(f"--noise must be one of {', '.join(DISTRIBUTIONS)}, got {self.noise!r}")
        _ = self.distribution

    @property
    def distribution(self) -> NoiseDistribution:
        """The noise."""
        try:
            return DISTRIBUTIONS[self.noise](self.sigma)
        except ValueError as error:
            raise UsageError(f"--{error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which images.

    Args:
        data: name of the data set, see `bbsmooth.data`.
        resize: whether images are scaled and cropped to what the oracle takes.
        data_root: where downloaded sets lie, None for the usual place.
        download: whether a missing set may be fetched.
    """

    data: str
    resize: bool
    data_root: Path | None
    download: bool


def settings(*configs: Any) -> dict[str, Any]:
    """All settings as JSON values, for the manifest."""
    merged: dict[str, Any] = {}
    for config in configs:
        merged |= asdict(config) if not isinstance(config, Mapping) else config
    return {key: str(value) if isinstance(value, Path) else value for key, value in merged.items()}
