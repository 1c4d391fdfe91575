"""The settings of `bbsmooth accept`: the claim, its risks, and the images that it is about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from bbsmooth.errors import UsageError
from bbsmooth.settings.common import GROWING, SPEED
from bbsmooth.settings.option import Option, Panel, ascending

if TYPE_CHECKING:
    from bbsmooth.certification.acceptance.claims import AcceptancePlan
    from bbsmooth.certification.acceptance.images import ImageTest
    from bbsmooth.noise import NoiseDistribution

DATA, SOURCE = POPULATIONS = ("data", "source")
BY_CLASS = "class"
"""Value of `groups` that makes each class a group."""

MAX_IMAGES, NUM_ESTIMATION = 1000, 1000
"""Usual most images of a group, and usual most draws of one."""

CHANGEABLE = (SPEED | GROWING) - {"limit", "radii"}
"""Settings that a resumed run may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptConfig:
    """Settings of an acceptance test.

    Raises:
        UsageError: what is no claim.
    """

    radii: Annotated[
        tuple[float, ...],
        Option(
            "Radius at which the images must be robust; may be repeated. Several share the risks without loss: one "
            "counts as shown only with all smaller ones.",
            panel=Panel.SAMPLING,
            parse=ascending,
        ),
    ]
    at_least: Annotated[
        float, Option("The share of the images, such as 0.8, that must be right and robust.", "SHARE", Panel.SAMPLING)
    ]
    alpha_total: Annotated[
        float,
        Option("Risk of showing what is false, over all draws and images.", panel=Panel.SAMPLING, default=0.05),
    ]
    beta: Annotated[
        float,
        Option("Risk of refuting what is true.", panel=Panel.SAMPLING, default=0.05),
    ]
    population: Annotated[
        str,
        Option(
            "Subject of the claim: data, these images alone; source, what they are a random sample of.",
            panel=Panel.IMAGES,
            default=DATA,
        ),
    ]
    num_estimation: Annotated[
        int,
        Option("Most draws of one image.", panel=Panel.SAMPLING, default=NUM_ESTIMATION),
    ]
    max_images: Annotated[
        int,
        Option(
            "Most images that are asked about, of each group; chosen by chance. Above some thousands the exact "
            "boundary takes minutes to compute.",
            "IMAGES",
            Panel.IMAGES,
            default=MAX_IMAGES,
        ),
    ]
    limit: Annotated[
        int | None,
        Option(
            "Make the claim about this many images, the first of the test split; about all of them if left out.",
            "IMAGES",
            Panel.IMAGES,
        ),
    ] = None
    groups: Annotated[
        str | None,
        Option(
            "Make the claim about each group, with both risks for all together: class, or FILE.csv:COLUMN with a row "
            "for each image.",
            "GROUPS",
            Panel.IMAGES,
        ),
    ] = None
    image_alpha: Annotated[
        float | None,
        Option(
            "Level of certifying one image. Without it the one at which showing the claim is expected to cost the "
            "fewest queries. The risks hold with any.",
            panel=Panel.SAMPLING,
        ),
    ] = None
    image_beta: Annotated[
        float | None,
        Option("Level of refuting one image, likewise.", panel=Panel.SAMPLING),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what is no claim."""
        for name in ("at_least", "alpha_total", "beta", "image_alpha", "image_beta"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise UsageError(f"`{name}` must lie between 0 and 1, got {value}")
        if not self.radii or not all(0 <= radius < math.inf for radius in self.radii):
            raise UsageError(f"`radii` must be at least one finite number from 0 on, got {list(self.radii)}")
        if self.population not in POPULATIONS:
            raise UsageError(f"`population` must be {DATA} or {SOURCE}, got {self.population!r}")
        for name in ("num_estimation", "max_images", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"`{name}` must be at least 1, got {value}")

    def settled(self, noise: NoiseDistribution) -> AcceptConfig:
        """The same with levels of one image, where none were given."""
        if self.image_alpha is not None and self.image_beta is not None:
            return self
        from bbsmooth.certification.acceptance.images import cheapest  # and scipy, which the command line does without

        found = cheapest(self._test(noise, 0.1, 0.05), at_least=self.at_least, alpha_total=self.alpha_total)
        return replace(
            self,
            image_alpha=found.image_alpha if self.image_alpha is None else self.image_alpha,
            image_beta=found.image_beta if self.image_beta is None else self.image_beta,
        )

    def test(self, noise: NoiseDistribution) -> ImageTest:
        """The settings of the test of one image.

        Raises:
            UsageError: draws that could not certify the largest radius even if all votes agreed.
        """
        levels = self.settled(noise)
        test = self._test(noise, levels.image_alpha or 0.0, levels.image_beta or 0.0)
        bounds = test.boundaries(0.0)
        for radius, upper in zip(self.radii, bounds.upper, strict=True):
            if upper[-1] > self.num_estimation:
                raise UsageError(
                    f"{self.num_estimation:,} draws cannot certify radius {radius:g}, even if all votes agree; raise "
                    "`num_estimation`, or ask for smaller `radii`"
                )
        return test

    def plan(self, noise: NoiseDistribution, sizes: Mapping[str, int]) -> AcceptancePlan:
        """The settings of the claims.

        Args:
            noise: the smoothing distribution.
            sizes: images of each group.

        Raises:
            UsageError: settings under which nothing can be shown.
        """
        from bbsmooth.certification.acceptance.claims import AcceptancePlan

        return AcceptancePlan(
            test=self.test(noise),
            at_least=self.at_least,
            alpha_total=self.alpha_total,
            beta=self.beta,
            sizes=sizes,
            finite=self.population == DATA,
            max_images=self.max_images,
        )

    def _test(self, noise: NoiseDistribution, alpha: float, beta: float) -> ImageTest:
        from bbsmooth.certification.acceptance.images import ImageTest

        return ImageTest(
            noise=noise,
            radii=self.radii,
            image_alpha=alpha,
            image_beta=beta,
            max_estimation=self.num_estimation,
        )
