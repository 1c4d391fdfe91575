"""Certified accuracy and average certified radius: what verdicts on many images say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bbsmooth.certification.bounds.clopper_pearson import ClopperPearson
from bbsmooth.certification.bounds.means import ConstantBets, MeanBound


@dataclass(frozen=True, slots=True)
class Share:
    """A share of images with its confidence interval.

    Attributes:
        value: the share in the sample.
        low: lower end of the two-sided interval for the share in the population the images were drawn from.
        high: upper end.
    """

    value: float
    low: float
    high: float


def share(successes: int, images: int, *, confidence: float) -> Share:
    """The share with its exact two-sided interval (Clopper & Pearson 1934)."""
    bound, alpha = ClopperPearson(), (1 - confidence) / 2
    low, high = bound.lower(successes, images, alpha=alpha), bound.upper(successes, images, alpha=alpha)
    return Share(successes / images, low, high)


def certified_accuracy(correct_radii: Sequence[float | None], radius: float, *, confidence: float) -> Share:
    """The share of all images whose class is right and proven to hold within `radius`.

    Args:
        correct_radii: for each image its radius, None where the class is wrong or the certifier abstained.
        radius: at which to count; 0 counts every right class that was certified at all.
        confidence: of the interval over images, for instance 0.95.
    """
    certified = sum(own is not None and own >= radius for own in correct_radii)
    return share(certified, len(correct_radii), confidence=confidence)


def average_certified_radius(correct_radii: Sequence[float | None]) -> float:
    """The mean radius (ACR), 0 where the class is wrong or the certifier abstained.

    Read it beside the whole curve: a few large radii can hide many small ones (Sun et al., arXiv 2410.06895).
    """
    return sum(own or 0.0 for own in correct_radii) / len(correct_radii)


def average_radius_interval(
    correct_radii: Sequence[float | None], *, largest: float, confidence: float, bound: MeanBound | None = None
) -> tuple[float, float]:
    """A two-sided interval for the mean radius over the population that the images were drawn from.

    Bounds by constant bets (`ConstantBets`), each at half of the level. They hold for every distribution on
    [0, `largest`] and any number of images, where a bootstrap's or Student's interval covers too rarely: radii pile up
    at both ends. They do not depend on the order of the images: what counts is that the images as a set were drawn
    independently, or without replacement, however they were sorted afterwards. Of images that were chosen otherwise
    (the first of a file that is sorted by class) no interval says anything about the rest.

    Args:
        correct_radii: for each image its radius, None where the class is wrong or the certifier abstained.
        largest: no radius can be larger, whatever the images.
        confidence: for instance 0.95.
        bound: on the mean, None for constant bets.
    """
    shares = np.array([own or 0.0 for own in correct_radii]) / largest
    bound, alpha = bound or ConstantBets(), (1 - confidence) / 2
    shares = shares.clip(max=1.0)  # of rounding
    return largest * bound.lower(shares, alpha=alpha), largest * (1 - bound.lower(1 - shares, alpha=alpha))
