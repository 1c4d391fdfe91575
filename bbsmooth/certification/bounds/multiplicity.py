"""Many images at once: levels at which any wrong certificate among them is unlikely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from scipy.special import betainc

from bbsmooth.certification.bounds.clopper_pearson import SMALLEST


@dataclass(frozen=True, slots=True)
class FamilyWise:
    """A level that all images share.

    Attributes:
        method: bonferroni or holm.
        alpha: probability, over the draws, that any certificate is wrong.
    """

    method: str
    alpha: float


@dataclass(frozen=True, slots=True)
class FalseDiscovery:
    """A bound on the expected share of wrong certificates among those that are issued (0 where none is).

    e-BH (Wang and Ramdas 2022) on the e-values 1{certified} / alpha, one an image: each has mean at most 1 where the
    certificate would be wrong. They take two values only, so that either all K certificates are issued or none:
    all where K / m >= alpha / rate, for m images tried.

    In short: where any are issued, K is at least m alpha / rate. The wrong ones among the m number m alpha at most in
    expectation, so their share of K has mean at most m alpha / (m alpha / rate) = rate. Nothing is asked of the
    dependence between images, nor that the last one is known: certificates may be issued as soon as there are enough,
    as long as m counts all images that were to be tried.

    Attributes:
        rate: the bound, between 0 and 1.
        alpha: probability, over the draws, that the certificate of one image is wrong.
    """

    rate: float
    alpha: float

    def needed(self, images: int) -> int:
        """The number of certificates among `images` from which on they are issued.

        Both levels count as the decimal numbers they are written as: 1,000 images at 0.001 and rate 0.05 need 20.
        """
        return math.ceil(images * Fraction(str(self.alpha)) / Fraction(str(self.rate)))


def bonferroni(alpha: float, images: int) -> float:
    """The level for each of `images` at which any certificate among them is wrong with probability at most `alpha`."""
    return alpha / images


def p_value(successes: int, trials: int, p_null: float) -> float:
    """P[X >= `successes`], X ~ Binomial(`trials`, `p_null`): of p <= `p_null`, for trials fixed in advance.

    What is smaller than `SMALLEST` is said to be that.
    """
    return 1.0 if successes == 0 else max(SMALLEST, float(betainc(successes, trials - successes + 1, p_null)))


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """True for each hypothesis that Holm's procedure (1979) rejects; any wrong rejection has at most `alpha`.

    All are compared when the last is known, so that what is said of one image depends on the others.

    Args:
        p_values: of "the image is not robust at this radius", one an image.
        alpha: for all images together.
    """
    rejected = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        if not p_values[place] <= alpha / (len(p_values) - rank):
            break
        rejected[place] = True
    return rejected
