"""Two runs on the same images: does one certify more of them?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.stats import binomtest, norm


@dataclass(frozen=True, slots=True)
class Paired:
    """A difference of two shares over the same images.

    Attributes:
        images: compared.
        only_first: images that count for the first run alone.
        only_second: for the second alone.
        difference: first minus second share.
        low: lower end of the interval for the difference in the population of images.
        high: upper end.
        p_value: of the exact test that both shares are equal.
    """

    images: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p_value: float


def compare(first: Sequence[bool], second: Sequence[bool], *, confidence: float) -> Paired:
    """Compare image by image.

    The test is McNemar's, exact: of the images on which the runs differ, each side has half under equality. The
    interval is Tango's score interval (Statistics in Medicine 17, 1998), which keeps its level on average down to small
    numbers where Wald's does not.

    Args:
        first: whether each image counts for the first run.
        second: the same of the second.
        confidence: of the interval.

    Raises:
        ValueError: no images, or not equally many.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"a paired comparison needs the same images, got {len(first)} and {len(second)}")
    only_first = sum(one and not other for one, other in zip(first, second, strict=True))
    only_second = sum(other and not one for one, other in zip(first, second, strict=True))
    different = only_first + only_second
    low, high = score_interval(only_first, only_second, len(first), confidence=confidence)
    return Paired(
        images=len(first),
        only_first=only_first,
        only_second=only_second,
        difference=(only_first - only_second) / len(first),
        low=low,
        high=high,
        p_value=float(binomtest(only_first, different, 0.5).pvalue) if different else 1.0,
    )


def score_interval(only_first: int, only_second: int, images: int, *, confidence: float) -> tuple[float, float]:
    """The differences that the score test does not reject (Tango 1998, equations 4 to 8)."""
    z = float(norm.ppf((1 + confidence) / 2))
    estimate = (only_first - only_second) / images

    def end(sign: int) -> float:
        limit = float(sign)
        if abs(estimate - limit) < 1e-12:
            return limit
        return float(brentq(lambda delta: _score(only_first, only_second, images, delta) + sign * z, estimate, limit))

    return end(-1), end(1)


def _score(only_first: int, only_second: int, images: int, delta: float) -> float:
    """How many standard errors the estimate lies above `delta`, the nuisance at its most likely value there."""
    linear = (2 * images - only_first + only_second) * delta - only_first - only_second
    constant = -only_second * delta * (1 - delta)
    root = math.sqrt(max(0.0, linear**2 - 8 * images * constant))
    nuisance = (root - linear) / (4 * images)
    variance = images * (2 * nuisance + delta * (1 - delta))
    excess = only_first - only_second - images * delta
    if variance <= 0:
        return math.copysign(math.inf, excess) if excess else 0.0
    return excess / math.sqrt(variance)
