"""Certified accuracy and average certified radius: what verdicts on many images say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bbsmooth.certification.bounds import ClopperPearson


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
