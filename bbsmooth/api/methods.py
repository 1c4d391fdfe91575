"""Methods that turn votes into certificates: one frozen description each, without defaults for what changes a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bbsmooth.certification.bounds.vote_bounds import OneClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohen:
    """A fixed number of draws for each image (Cohen et al., 2019).

    Args:
        num_selection: draws that choose the class (n0).
        num_estimation: fresh draws that bound its probability (n).
        alpha: probability, over the draws, that a certificate is wrong.
        bound: "clopper-pearson", "two-class" or "randomised".
    """

    num_selection: int
    num_estimation: int
    alpha: float
    bound: str = OneClass.name

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of `CertifyConfig`."""
        return {
            "method": "cohen",
            "num_selection": self.num_selection,
            "num_estimation": self.num_estimation,
            "alpha": self.alpha,
            "bound": self.bound,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequential:
    """Draws until each radius is certified or refuted, by tests that hold whenever one stops.

    Args:
        radii: that are decided.
        alpha: probability, over the draws, that a certificate is wrong.
        beta: level of giving up: for each radius that holds, the probability that it is refuted; it may also be left
            undecided. No certificate depends on it.
        num_selection: draws that choose the class (n0).
        max_estimation: most draws that decide.
    """

    radii: Sequence[float]
    alpha: float
    beta: float
    num_selection: int
    max_estimation: int

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of `CertifyConfig`."""
        return {
            "method": "sequential",
            "radii": tuple(sorted(set(map(float, self.radii)))),
            "num_selection": self.num_selection,
            "num_estimation": self.max_estimation,
            "alpha": self.alpha,
            "beta": self.beta,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """Draws until more of them would hardly enlarge the radius.

    Args:
        tolerance: how much smaller than after all draws a radius may be, as a share.
        alpha: probability, over the draws, that a certificate is wrong.
        beta: probability that an early end costs more than `tolerance`; no certificate depends on it.
        num_selection: draws that choose the class (n0).
        max_estimation: most draws that bound its probability.
    """

    tolerance: float
    alpha: float
    beta: float
    num_selection: int
    max_estimation: int

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of `CertifyConfig`."""
        return {
            "method": "adaptive",
            "num_selection": self.num_selection,
            "num_estimation": self.max_estimation,
            "alpha": self.alpha,
            "beta": self.beta,
            "tolerance": self.tolerance,
        }


CertificationMethod = Cohen | Sequential | Adaptive
