"""Sigmas among which the one that certifies most is looked for, and how many queries that takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from bbsmooth.errors import UsageError
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import SmoothingConfig
from bbsmooth.settings.option import Option, Panel
from bbsmooth.settings.plan import PILOT, PILOT_DRAWS, ClaimConfig, PilotConfig

AUTO = "auto"
"""In place of sigma: the one that certifies most."""

FORECAST = 500
"""Images whose certified share is forecast, where a tuning chooses sigma."""

_GRID, _WIDEST, _STRONGEST = 8, 3.0, 1.0  # sigmas from R / 3 to 3 R, but at most 1 where R is less


def sigma_grid(radius: float) -> tuple[float, ...]:
    """Sigmas among which the one that certifies most at a radius is looked for: ascending, evenly on a log scale.

    Below a third of the radius its certificates take more draws than anybody pays: p must exceed Phi(3) = 0.9987.

    Args:
        radius: R, above 0.
    """
    least, most = radius / _WIDEST, min(_WIDEST * radius, max(_STRONGEST, radius))
    factors = (most / least) ** (1 / (_GRID - 1))
    return tuple(float(f"{least * factors**step:.3g}") for step in range(_GRID))


def certification(radius: float | None) -> CertifyConfig:
    """The certification for which a tuning chooses sigma: the usual one, at this radius.

    Raises:
        UsageError: no radius.
    """
    if radius is None:
        raise UsageError("`sigma` is chosen for a radius: give `radius`, at which certified images shall be most")
    return CertifyConfig(
        method="cohen", radii=(radius,), num_selection=100, num_estimation=10_000, alpha=0.001, beta=0.01, limit=None
    )


def named_sigmas(given: Sequence[str]) -> tuple[float, ...] | None:
    """The sigmas to choose from: none for those of `sigma_grid`, None where one is fixed.

    Args:
        given: auto, a number or several.

    Raises:
        UsageError: anything else.
    """
    if list(given) == [AUTO]:
        return ()
    try:
        numbers = tuple(float(each) for each in given)
    except ValueError:
        raise UsageError(
            f"`sigma` must be {AUTO}, one number or several to choose from, got {', '.join(given)}"
        ) from None
    return None if len(numbers) == 1 else SigmaConfig(sigmas=numbers).sigmas


@dataclass(frozen=True, slots=True, kw_only=True)
class SigmaConfig:
    """The sigmas to choose from.

    Raises:
        UsageError: fewer than two, or one that is no level of noise.
    """

    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what leaves no choice."""
        if len(set(self.sigmas)) < 2 or not all(0 < sigma < math.inf for sigma in self.sigmas):
            raise UsageError(f"`sigma` must be auto, one number or several different ones above 0, got {self.sigmas}")

    @classmethod
    def of(cls, sigmas: tuple[float, ...], config: CertifyConfig, noise: str) -> SigmaConfig:
        """The sigmas that can prove the radius.

        Args:
            sigmas: to choose from, none for those of `sigma_grid`.
            config: the certification that is planned.
            noise: its distribution.

        Raises:
            UsageError: no radius or several, a named sigma that could not prove it, or fewer than two that could.
        """
        if len(config.radii) != 1 or not config.radii[0] > 0:
            raise UsageError(
                "`sigma` is chosen for one radius above 0: give `radii` once, the radius at which certified images "
                f"shall be most, got {', '.join(format(radius, 'g') for radius in config.radii) or 'none'}"
            )
        (radius,) = config.radii
        unable = [sigma for sigma in sorted(set(sigmas)) if not _proves(config, noise, sigma)]
        if unable:
            raise UsageError(
                f"{config.num_estimation:,} draws at `alpha` {config.alpha:g} cannot prove radius {radius:g} with "
                f"`sigma` {unable[-1]:g}: leave that out, or raise `num_estimation`"
            )
        able = tuple(sigma for sigma in sorted(set(sigmas or sigma_grid(radius))) if _proves(config, noise, sigma))
        if len(able) < 2:
            raise UsageError(
                f"{config.num_estimation:,} draws at `alpha` {config.alpha:g} can prove radius {radius:g} with "
                f"{len(able)} of the sigmas, and `sigma` is chosen among several: raise `num_estimation`, or name "
                "larger ones"
            )
        return cls(sigmas=able)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigmaPilotConfig:
    """The pilot with which `tune` chooses sigma.

    Raises:
        UsageError: what cannot be asked.
    """

    pilot: Annotated[
        int | None,
        Option(
            f"With several sigmas or auto: images of the first round of the choice; usually {PILOT}.",
            "IMAGES",
            Panel.BUDGET,
            default=None,
        ),
    ] = None
    pilot_draws: Annotated[
        int | None,
        Option(
            f"Likewise: draws of each image of the pilot under each sigma; usually {PILOT_DRAWS}.",
            panel=Panel.BUDGET,
            default=None,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        for name in ("pilot", "pilot_draws"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"`{name}` must be at least 1, got {value}")

    def refuse_without_choice(self) -> None:
        """Refuse settings that would be ignored where sigma is given.

        Raises:
            UsageError: the first that was given.
        """
        for name in ("pilot", "pilot_draws"):
            if getattr(self, name) is not None:
                raise UsageError(
                    f"`{name}` counts only where `sigma` is to be chosen: give auto or several, or leave it out"
                )


def _proves(config: CertifyConfig, noise: str, sigma: float) -> bool:
    drawn = SmoothingConfig(sigma=sigma, noise=noise, coordinator=None, seed=0).distribution
    try:
        return config.judged_plan(drawn, 1).largest_radius >= config.radii[0]
    except UsageError:
        return False


def rounds(sigmas: int, first: int, available: int) -> list[tuple[int, int]]:
    """Rounds of successive halving (Jamieson & Talwalkar, AISTATS 2016): sigmas that are left, images of each.

    Each round keeps the better half and doubles the images, so that it costs no more than the one before.

    Args:
        sigmas: at the start.
        first: images of the first round.
        available: images that there are.
    """
    found = [(sigmas, min(first, available))]
    while (left := found[-1][0]) > 2 and (images := found[-1][1]) < available:
        found.append((-(-left // 2), min(2 * images, available)))
    return found


def queries_of(halving: Sequence[tuple[int, int]], draws: int) -> int:
    """Queries of these rounds: what an image was asked in the round before is not asked again."""
    before = [0, *(images for _, images in halving)]
    return sum(sigmas * (images - seen) * draws for (sigmas, images), seen in zip(halving, before, strict=False))


def refuse_with_choice(pilot: PilotConfig, claim: ClaimConfig | None, batch: BatchConfig) -> None:
    """Refuse settings of a plan that would be ignored while sigma is being chosen.

    Raises:
        UsageError: the first of them.
    """
    given = {"choose_cap": pilot.choose_cap is not None, "at_least": claim is not None, "batch": batch.batch}
    for name, is_given in given.items():
        if is_given:
            raise UsageError(f"`{name}` does not go with the choice of `sigma`: plan again with the `sigma` it chooses")
