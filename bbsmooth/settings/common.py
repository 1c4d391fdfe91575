"""Settings that a user can ask for: frozen, checked before anything is opened."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import oracles
from bbsmooth import noise as noises
from bbsmooth.coordinator.denoisers.names import front_place
from bbsmooth.errors import UsageError
from bbsmooth.noise.algorithms import ALGORITHM, ALGORITHMS, check_algorithm
from bbsmooth.settings.option import Needs, Option, Panel
from bbsmooth.settings.shared import Device, Resize, Seed
from oracles.price_tables import open_prices

if TYPE_CHECKING:
    from bbsmooth.noise import NoiseDistribution, Splitting
    from oracles.prices import Prices

SPEED = frozenset({"batch_size", "concurrency", "device", "engine", "workers"})
"""Settings on which no result depends."""

LIMITS = ("budget", "max_attempts", "max_price")
"""Settings that say what a run may spend in all."""

GROWING = frozenset({*LIMITS, "price", "prices", "limit", "radii", "canary_every"})
"""Settings that a resumed run may change: more of the same, counted or checked otherwise."""

USUAL_CANARIES = 8
"""Canaries of a remote model, where the user does not say how many."""

_USUAL_DISTANCE = 5_000
"""Queries between two looks at them, likewise."""

STRING, NUMERIC = "string", "numeric"
"""Orders of class names that are numbers: "1", "10", "2", or 1, 2, 10."""

FLOAT32 = "float32"
_DTYPES = (FLOAT32, "bfloat16", "float16")  # of `oracles.local`, which needs torch
_ALL = "all"  # devices, of `oracles.replicas`
IN_MEMORY = "python:"
"""Begins the name of an oracle or of images that were handed over as Python objects."""

THREADS, RAY = "threads", "ray"
"""Engines: calls are answered by threads of this process, or by workers on a Ray cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleConfig:
    """Oracle, and how to ask it. A concurrency of 0 is what the oracle's own description says, else the usual."""

    oracle: Annotated[
        str, Option("The classifier to query; `bbsmooth oracle list` says how to name one.", metavar="ORACLE")
    ]
    device: Device = "auto"
    dtype: Annotated[str, Option("Arithmetic of local oracles: float32, bfloat16 or float16.", panel=Panel.SPEED)] = (
        FLOAT32
    )
    batch_size: Annotated[int, Option("Images in one call of the oracle; changes no result.", panel=Panel.SPEED)] = 256
    concurrency: Annotated[
        int,
        Option(
            "Calls under way at once; changes no result. Without it what the oracle's file says, else 8 for remote "
            "oracles and 2 on each device for others.",
            panel=Panel.SPEED,
            default=None,
            least=1,
        ),
    ] = 0
    budget: Annotated[
        int | None,
        Option("Most queries (images sent to the oracle) that the run may spend in all.", "QUERIES", Panel.BUDGET),
    ] = None
    price: Annotated[
        float | None,
        Option(
            "Price of 1,000 queries; with `prices` of tokens the most that 1,000 of them cost, for those whose replies "
            "do not tell. Without it what the oracle's file says, else nothing.",
            panel=Panel.BUDGET,
        ),
    ] = None
    prices: Annotated[
        str | None,
        Option(
            "Prices of tokens, images and requests: a file, as docs/prices.md explains, or a dated copy of a vendor's "
            "table (`bbsmooth oracle prices` lists them). Without it what the oracle's file says, else none.",
            "FILE or NAME",
            Panel.BUDGET,
        ),
    ] = None
    max_price: Annotated[
        float | None,
        Option(
            "Most that the run may cost in all; needs `price` or `prices`. Where replies tell their tokens these "
            "count, before and elsewhere the most that they can be.",
            panel=Panel.BUDGET,
        ),
    ] = None
    max_attempts: Annotated[
        int | None,
        Option(
            "Most requests that the run may send in all, failed and repeated ones included.", "REQUESTS", Panel.BUDGET
        ),
    ] = None
    engine: Annotated[
        str,
        Option(
            "Who answers: threads of this process; ray, workers on this machine; ray://HOST:PORT, those of a Ray "
            "cluster, or ray://auto of the one that this machine belongs to. Changes no result. Needs "
            "`pip install 'bbsmooth[ray]'`, on every node.",
            panel=Panel.SPEED,
        ),
    ] = THREADS
    workers: Annotated[
        int,
        Option(
            "With `engine` ray: how many. Without it one a GPU for local oracles, else one a processor.",
            panel=Panel.SPEED,
            default=None,
            least=1,
        ),
    ] = 0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        scheme, _, address = self.engine.partition("://")
        if self.engine not in (THREADS, RAY) and (scheme != RAY or not address):
            raise UsageError(f"`engine` must be {THREADS}, {RAY} or {RAY}://ADDRESS, got {self.engine!r}")
        if self.on_several and self.on_ray:
            raise UsageError("`devices` is for one machine without Ray, whose workers have a device each; leave it out")
        if self.workers and not self.on_ray:
            raise UsageError("`workers` is for `engine` ray; `concurrency` says how many calls are under way at once")
        if self.dtype not in _DTYPES:
            raise UsageError(f"`dtype` must be one of {', '.join(_DTYPES)}, got {self.dtype!r}")
        for name, least in (("batch_size", 1), ("concurrency", 0), ("workers", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        for name in ("budget", "price", "max_price", "max_attempts"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise UsageError(f"`{name}` must be a number of at least 0, got {value}")

    @property
    def on_ray(self) -> bool:
        """True if workers of Ray answer."""
        return self.engine.partition(":")[0] == RAY

    @property
    def on_several(self) -> bool:
        """True if the oracle shall have replicas on several devices."""
        return "," in self.device or self.device == _ALL

    @property
    def limits(self) -> oracles.Budget:
        """The budget."""
        table = self.price_table
        return oracles.Budget(
            queries=self.budget,
            price_per_1000=self.price,
            money=self.max_price,
            attempts=self.max_attempts,
            prices=table,
            images_per_request=1 if table is None else self.batch_size,
        )

    @property
    def price_table(self) -> Prices | None:
        """Prices of tokens, images and requests, None where there are none."""
        return None if self.prices is None else open_prices(self.prices)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothingConfig:
    """The noise, and what stands between it and the oracle.

    `coordinator` is the directory of a `tune` run or of a diffusion model, or the name of a denoiser; None for the bare
    oracle.
    """

    sigma: Annotated[
        float,
        Option(
            "Standard deviation of the noise, on pixels in 0 to 1.",
            refused=(
                ("auto", "bbsmooth plan `sigma=auto`, or tune, chooses one for a radius; give here what that chose"),
            ),
        ),
    ]
    noise: Annotated[
        str,
        Option(
            "Distribution of the noise: gaussian (L2), laplace or uniform (L1); certify takes splitting (L1) too.",
            panel=Panel.SAMPLING,
            default="gaussian",
        ),
    ]
    coordinator: Annotated[
        Path | None,
        Option(
            "What stands before the oracle: natural, the denoiser that ships (or natural-small, a third of the time); "
            "the run directory of a `bbsmooth tune`; a denoiser of your own as "
            "module:FILE.py:FUNCTION, images and sigma to images; a TorchScript file; the weights of a DnCNN, a "
            "bias-free CNN or a DRUNet; or the folder of a pretrained diffusers model.",
            "RUN",
            default=None,
            read=front_place,
        ),
    ]
    seed: Seed
    noise_algorithm: Annotated[
        str | None,
        Option(
            f"How noise is drawn: {' or '.join(ALGORITHMS)}, that of version 0.1. Without it as in the run that is "
            "resumed or reused, else the first of them.",
            panel=Panel.SAMPLING,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse noise that is none, and seeds that are no whole numbers."""
        _ = self.mechanism
        try:
            number = None if isinstance(self.seed, bool) else operator.index(self.seed)
        except TypeError:
            number = None
        if number is None:
            raise UsageError(f"`seed` must be a whole number, got {self.seed!r}")
        object.__setattr__(self, "seed", number)
        if self.noise_algorithm is not None:
            try:
                check_algorithm(self.noise_algorithm)
            except ValueError as error:
                raise UsageError(str(error)) from None

    @property
    def mechanism(self) -> NoiseDistribution | Splitting:
        """The noise."""
        try:
            return noises.noise_called(self.noise, self.sigma)
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def distribution(self) -> NoiseDistribution:
        """The noise, where it has to be one that is added.

        Raises:
            UsageError: it is not.
        """
        if isinstance(mechanism := self.mechanism, noises.Splitting):
            raise UsageError("`noise` splitting is for `bbsmooth certify` alone; uniform noise is the nearest to it")
        return mechanism

    @property
    def algorithm(self) -> str:
        """How noise is drawn: as asked for, else the newest way."""
        return self.noise_algorithm or ALGORITHM

    @property
    def additive(self) -> SmoothingConfig:
        """The same, or with uniform noise for splitting noise, whose cuts are as far apart."""
        return replace(self, noise=noises.Uniform.name) if self.noise == noises.Splitting.name else self


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Choice of images."""

    data: Annotated[str, Option("The images; `bbsmooth data list` says what there is.", "DATA")]
    resize: Resize = False
    data_root: Annotated[
        Path | None,
        Option(
            "Where downloaded data sets lie. Without it the environment's BBSMOOTH_DATA, or ~/.cache/bbsmooth/data.",
            "FOLDER",
            Panel.IMAGES,
        ),
    ] = None
    download: Annotated[bool, Option("Fetch a data set that is not on disk.", panel=Panel.IMAGES)] = False
    class_order: Annotated[
        str | None,
        Option(
            "How the oracle's outputs follow folders or labels that are numbers: string (1, 10, 2, as torchvision "
            "reads folders) or numeric (1, 2, 10). Asked for where the two differ and nobody named the oracle's "
            "classes.",
            panel=Panel.IMAGES,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what is no order."""
        if self.class_order not in (None, STRING, NUMERIC):
            raise UsageError(f"`class_order` must be {STRING} or {NUMERIC}, got {self.class_order!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftConfig:
    """Settings for noticing that a remote model changes."""

    canaries: Annotated[
        int | None,
        Option(
            "Images that are asked again and again, to notice that the model was changed; 0 for none. Without it 8 "
            "for remote oracles, none for others.",
            "IMAGES",
            Panel.BUDGET,
        ),
    ] = None
    canary_every: Annotated[
        int,
        Option(
            "Ask the canaries after this many queries, or after 5 minutes.",
            "QUERIES",
            Panel.BUDGET,
            needs=(Needs("canaries", never=(0,)),),
        ),
    ] = _USUAL_DISTANCE

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.canaries is not None and self.canaries < 0:
            raise UsageError(f"`canaries` must not be negative, got {self.canaries}")
        if self.canary_every < 1:
            raise UsageError(f"`canary_every` must be at least 1 query, got {self.canary_every}")

    def number(self, remote: bool) -> int:
        """Number of canaries: as asked for, else `USUAL_CANARIES` where the model is in other hands.

        Raises:
            UsageError: a distance between canaries, and none of these.
        """
        found = (USUAL_CANARIES if remote else 0) if self.canaries is None else self.canaries
        if not found and self.canary_every != _USUAL_DISTANCE:
            raise UsageError(
                "`canary_every` counts only with `canaries`, of which a local oracle has none unless they are asked "
                "for: give that too, or leave `canary_every` out"
            )
        return found


USUAL_DRIFT = DriftConfig()
"""What a user gets who says nothing about it."""


def settings(*configs: Any) -> dict[str, Any]:
    """All settings as JSON values, for the manifest."""
    merged: dict[str, Any] = {}
    for config in configs:
        merged |= asdict(config) if not isinstance(config, Mapping) else config
    return {key: str(value) if isinstance(value, Path) else value for key, value in merged.items()}
