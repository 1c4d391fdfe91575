"""The settings of `bbsmooth plan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bbsmooth.errors import UsageError
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.option import Option, Panel, ascending
from bbsmooth.settings.shared import Alpha, NumEstimation


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanConfig:
    """What is to be certified, and how much may be asked to learn what that costs."""

    radii: Annotated[tuple[float, ...], Option("Radius that is wanted; may be repeated.", parse=ascending)]
    num_selection: Annotated[
        int, Option("Draws that choose an image's class; the pilot asks these.", panel=Panel.SAMPLING, default=100)
    ]
    num_estimation: NumEstimation
    alpha: Alpha
    beta: Annotated[
        float,
        Option(
            "With sequential: probability that a radius is given up although it holds.",
            panel=Panel.SAMPLING,
            default=0.001,
        ),
    ]
    num_images: Annotated[
        int | None,
        Option(
            "Images to be certified, the first of the test split; all of them if left out.",
            "IMAGES",
            Panel.IMAGES,
            default=None,
        ),
    ]
    pilot: Annotated[
        int,
        Option(
            "Images that are asked about, chosen by chance; each costs n0 queries.", "IMAGES", Panel.BUDGET, default=10
        ),
    ]

    def __post_init__(self) -> None:
        """Refuse what cannot be planned."""
        if self.pilot < 1:
            raise UsageError(f"`pilot` must be at least 1 image, got {self.pilot}")
        if self.num_images is not None and self.num_images < 1:
            raise UsageError(f"`num_images` must be at least 1, got {self.num_images}")

    def ways(self) -> list[CertifyConfig]:
        """The certifications to choose from: by fixed numbers of draws, each radius in sequence, all in sequence."""
        asked = [(radius,) for radius in self.radii] + ([self.radii] if len(self.radii) > 1 else [])
        return [self._way("cohen", self.radii), *(self._way("sequential", radii) for radii in asked)]

    def _way(self, method: str, radii: tuple[float, ...]) -> CertifyConfig:
        return CertifyConfig(
            num_selection=self.num_selection,
            num_estimation=self.num_estimation,
            alpha=self.alpha,
            beta=self.beta,
            radii=radii,
            limit=self.num_images,
            method=method,
        )
