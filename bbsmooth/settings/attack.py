"""The settings of `bbsmooth attack`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from bbsmooth.errors import UsageError
from bbsmooth.settings.option import Option, Panel, ascending

METHODS = ("gradient", "nes", "hopskipjump")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackConfig:
    """Settings of an attack: one of `METHODS`, and a seed of the attack and of the votes."""

    method: Annotated[
        str,
        Option(
            "gradient (SmoothAdv's, for models whose weights are here), nes (by the oracle's scores), or hopskipjump "
            "(foolbox's; labels suffice).",
            default="gradient",
        ),
    ]
    radii: Annotated[
        tuple[float, ...],
        Option(
            "L2 radius at which empirical accuracy is counted, and of the balls that gradient and nes search; may be "
            "repeated.",
            default=(0.25, 0.5, 0.75, 1.0),
            parse=ascending,
        ),
    ]
    steps: Annotated[int, Option("Steps of the attack.", panel=Panel.ATTACK, default=20)]
    num_search: Annotated[int, Option("Votes behind an answer to the attacker.", panel=Panel.ATTACK, default=100)]
    num_judge: Annotated[int, Option("Votes that decide whether an image is turned.", panel=Panel.ATTACK, default=1000)]
    alpha: Annotated[float, Option("Probability that this decision is wrong.", panel=Panel.ATTACK, default=1e-6)]
    draws: Annotated[
        int,
        Option(
            "Noisy copies in a step of gradient or nes, answers behind a direction of hopskipjump.",
            panel=Panel.ATTACK,
            default=32,
        ),
    ]
    limit: Annotated[
        int | None,
        Option(
            "Attack this many certificates, from the first; all of them if left out.",
            "IMAGES",
            Panel.IMAGES,
            default=None,
        ),
    ]
    seed: Annotated[
        int, Option("Fixes every random draw; the same seed gives the same results.", panel=Panel.SAMPLING, default=1)
    ]

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.method not in METHODS:
            raise UsageError(f"`method` must be one of {', '.join(METHODS)}, got {self.method!r}")
        for name in ("steps", "num_search", "num_judge", "draws"):
            if getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        wrong = [radius for radius in self.radii if not 0 < radius < math.inf]
        if wrong or not self.radii:
            raise UsageError(f"`radii` must be above 0, got {wrong[0] if wrong else 'none'}")
        if not 0 < self.alpha < 1:
            raise UsageError(f"`alpha` must lie between 0 and 1, got {self.alpha}")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"`limit` must be at least 1 image, got {self.limit}")
