"""The settings of `bbsmooth plan`: the pilot, and which certifications are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated

from bbsmooth.errors import UsageError
from bbsmooth.settings.accept import DATA, MAX_IMAGES, NUM_ESTIMATION, AcceptConfig
from bbsmooth.settings.certify import STOPS_EARLY, CertifyConfig
from bbsmooth.settings.option import Option, Panel

PILOT, PILOT_DRAWS = 50, 20
"""Usual images of a pilot, and draws of each."""

_PARTS = (2, 5, 10, 20)  # of n: the smaller caps
_LEAST_CAP = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotConfig:
    """The pilot from which the cost of a certification is learnt.

    Raises:
        UsageError: what cannot be asked.
    """

    pilot: Annotated[
        int, Option("Images that are asked about, chosen by chance.", "IMAGES", Panel.BUDGET, default=PILOT)
    ]
    pilot_draws: Annotated[
        int,
        Option(
            "Draws of each image of the pilot, the first of its n0. Many images with few draws tell more than few "
            "with many.",
            panel=Panel.BUDGET,
            default=PILOT_DRAWS,
        ),
    ]
    choose_cap: Annotated[
        float | None,
        Option(
            "With sequential, choose the cap: the smallest n that is expected to leave open at most this share of the "
            "images that `num_estimation` would decide, for instance 0.01.",
            panel=Panel.SAMPLING,
            needs=(STOPS_EARLY,),
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what cannot be planned."""
        if self.pilot < 1:
            raise UsageError(f"`pilot` must be at least 1 image, got {self.pilot}")
        if self.pilot_draws < 1:
            raise UsageError(f"`pilot_draws` must be at least 1, got {self.pilot_draws}")
        if self.choose_cap is not None and not 0 <= self.choose_cap < 1:
            raise UsageError(f"`choose_cap` must be a share of the images from 0 to below 1, got {self.choose_cap}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimConfig:
    """The acceptance test whose cost is forecast beside that of a certification."""

    at_least: Annotated[
        float,
        Option(
            "Forecast `bbsmooth accept` too: the share of the images, such as 0.8, that must be right and robust at "
            "`radii`. The options below go with it.",
            "SHARE",
            Panel.SAMPLING,
            default=None,
        ),
    ]
    alpha_total: Annotated[float, Option("Its risk of showing what is false.", panel=Panel.SAMPLING, default=0.05)]
    beta_total: Annotated[
        float,
        Option("Its risk of refuting what is true, the beta of accept.", panel=Panel.SAMPLING, default=0.05),
    ]
    population: Annotated[
        str,
        Option(
            "Its subject: data, these images alone; source, what they are a random sample of.",
            panel=Panel.IMAGES,
            default=DATA,
        ),
    ]
    image_draws: Annotated[
        int,
        Option("Its most draws of one image, the n of accept.", panel=Panel.SAMPLING, default=NUM_ESTIMATION),
    ]
    max_images: Annotated[
        int,
        Option("Its most images that are asked about, of each group.", "IMAGES", Panel.IMAGES, default=MAX_IMAGES),
    ]
    accept_budget: Annotated[
        int | None,
        Option(
            "Its budget: queries after which it ends without an answer. Without it only its images end it.",
            "QUERIES",
            Panel.BUDGET,
        ),
    ] = None
    groups: Annotated[
        str | None,
        Option(
            "Its groups, each with a claim of its own: class, or FILE.csv:COLUMN with a row for each image.",
            "GROUPS",
            Panel.IMAGES,
        ),
    ] = None

    def accepting(self, radii: tuple[float, ...], limit: int | None) -> AcceptConfig:
        """The settings of the acceptance test.

        Args:
            radii: at which the images must be robust.
            limit: how many images the claim is about, None for all.

        Raises:
            UsageError: what is no claim.
        """
        if not 0 < self.beta_total < 1:
            raise UsageError(f"`beta_total` must lie between 0 and 1, got {self.beta_total}")
        if self.image_draws < 1:
            raise UsageError(f"`image_draws` must be at least 1, got {self.image_draws}")
        if self.accept_budget is not None and self.accept_budget < 1:
            raise UsageError(f"`accept_budget` must be at least 1 query, got {self.accept_budget}")
        if not radii:
            raise UsageError("`at_least` needs `radii`: at which must the images be robust?")
        return AcceptConfig(
            radii=radii,
            at_least=self.at_least,
            alpha_total=self.alpha_total,
            beta=self.beta_total,
            population=self.population,
            num_estimation=self.image_draws,
            max_images=self.max_images,
            limit=limit,
            groups=self.groups,
        )


CLAIM = frozenset(field.name for field in fields(ClaimConfig))
"""Settings of a claim, any of which a resumed plan may add, change or leave out: the pilot is the same."""


def compared(config: CertifyConfig) -> list[CertifyConfig]:
    """Certifications to forecast: `config` last, before it what it could be instead if it stops early."""
    if config.method == "cohen":
        return [config]
    single = [(radius,) for radius in config.radii] if config.method == "sequential" and len(config.radii) > 1 else []
    return [replace(config, method="cohen"), *(replace(config, radii=radii) for radii in single), config]


def smaller_caps(config: CertifyConfig) -> Sequence[CertifyConfig]:
    """The same with fewer draws at most, in descending order; none where each image takes all draws."""
    if config.method == "cohen":
        return []
    caps = (config.num_estimation // part for part in _PARTS)
    return [replace(config, num_estimation=cap) for cap in caps if cap >= _LEAST_CAP]
