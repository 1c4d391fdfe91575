"""What a certification says about one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bbsmooth.noise import Norm


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a verdict rests on; it can be recomputed from this alone.

    Attributes:
        selected: the class that the selection draws chose.
        counts: class to votes among the estimation draws.
        p_lower: lower confidence bound on the probability of `selected` under ideal noise.
        alpha: probability, over the draws, that `p_lower` is too high.
        num_selection: draws that chose the class.
        num_estimation: fresh draws behind `p_lower`.
        total_variation: distance between drawn and ideal noise that was taken off `p_lower`.
    """

    selected: int
    counts: Mapping[int, int]
    p_lower: float
    alpha: float
    num_selection: int
    num_estimation: int
    total_variation: float

    @property
    def queries(self) -> int:
        """Answers that the verdict rests on."""
        return self.num_selection + self.num_estimation


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The smoothed classifier answers `label` for every image within `radius`, unless the draws misled.

    Attributes:
        label: the class.
        radius: in units of `norm`, white being 1; above 0.
        norm: how the perturbation is measured.
        evidence: what proves it.
    """

    label: int
    radius: float
    norm: Norm
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """No class was proven to hold more than half of the probability. There is no radius to average by mistake."""

    evidence: Evidence


Verdict = Certificate | Abstention
