"""Many images at once: levels at which any wrong certificate among them is unlikely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import betainc


@dataclass(frozen=True, slots=True)
class FamilyWise:
    """A level that all images share.

    Attributes:
        method: bonferroni or holm.
        alpha: probability, over the draws, that any certificate is wrong.
    """

    method: str
    alpha: float


def bonferroni(alpha: float, images: int) -> float:
    """The level for each of `images` at which any certificate among them is wrong with probability at most `alpha`."""
    return alpha / images


def p_value(successes: int, trials: int, p_null: float) -> float:
    """P[X >= `successes`], X ~ Binomial(`trials`, `p_null`): of p <= `p_null`, for trials fixed in advance."""
    return 1.0 if successes == 0 else float(betainc(successes, trials - successes + 1, p_null))


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
