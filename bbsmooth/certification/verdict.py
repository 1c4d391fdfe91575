"""Verdicts: results of a certification for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bbsmooth.noise import NoiseDistribution, Norm


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Evidence that a verdict rests on; it can be recomputed from this alone.

    Attributes:
        selected: the class that the selection draws chose, None where one of them could not be answered.
        counts: class to votes among the estimation draws.
        p_lower: lower confidence bound on the probability of `selected` under ideal noise.
        alpha: probability, over the draws, that `p_lower` is too high.
        num_selection: draws that chose the class.
        num_estimation: fresh draws behind `p_lower`.
        total_variation: distance between drawn and ideal noise that was taken off `p_lower`.
        details: other numbers that `p_lower` or the radius rests on, by name.
    """

    selected: int | None
    counts: Mapping[int, int]
    p_lower: float
    alpha: float
    num_selection: int
    num_estimation: int
    total_variation: float
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def queries(self) -> int:
        """Answers that the verdict rests on."""
        return self.num_selection + self.num_estimation


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The smoothed classifier answers `label` for every image within `radius`, unless the draws misled.

    Attributes:
        label: the class.
        radius: in units of `norm`, white being 1. 0 where it is proven for the image itself and no more was asked.
        norm: how the perturbation is measured.
        evidence: what proves it.
    """

    label: int
    radius: float
    norm: Norm
    evidence: Evidence


class Reason(StrEnum):
    """Reason why nothing is certified."""

    UNPROVEN = "unproven"
    """No class was shown to hold more than half of the probability."""

    REFUSED = "refused"
    """The oracle refuses to answer one of the draws: leaving it out would bias the vote."""

    NO_ANSWER = "no answer"
    """The class that was chosen says that the oracle had no answer."""

    FALSE_DISCOVERY = "false discovery"
    """The run has too few certificates to bound the share of wrong ones; by itself, the image's would hold."""

    UNFINISHED = "unfinished"
    """The run ended before the image was decided. It has no line in the run's files, and may have one later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """Nothing is certified. There is no radius to average by mistake."""

    evidence: Evidence
    reason: Reason = Reason.UNPROVEN


Verdict = Certificate | Abstention


def bounded(evidence: Evidence, noise: NoiseDistribution) -> Verdict:
    """The certificate that the evidence proves, or an abstention.

    By `p_lower` above 1/2, or by a lead over `p_upper`, which no other class exceeds, if that is among the details.
    """
    p_upper = evidence.details.get("p_upper", 1.0)
    radius = max(noise.radius(evidence.p_lower), noise.radius_between(evidence.p_lower, p_upper))
    if evidence.selected is None or not radius > 0:  # also for NaN: whatever is not proven is an abstention
        return Abstention(evidence=evidence)
    return Certificate(label=evidence.selected, radius=radius, norm=noise.norm, evidence=evidence)


class State(StrEnum):
    """State of knowledge about one radius, in the order in which ascending radii can be."""

    CERTIFIED = "certified"
    UNDECIDED = "undecided"
    REFUTED = "refuted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Knowledge about one radius, and the counts at which its own test said so.

    Attributes:
        radius: the question.
        state: the answer.
        draws: after how many estimation draws the test of this radius rejected; all of them if it did not.
        successes: votes for the selected class among those.
    """

    radius: float
    state: State
    draws: int
    successes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that a certification says about one image.

    Attributes:
        verdict: a certificate for the largest radius that is proven, or an abstention.
        selection_votes: for the selected class among the selection draws.
        decisions: about each radius that was asked about, ascending; none where radii are not decided one by one.
    """

    verdict: Verdict
    selection_votes: int
    decisions: tuple[Decision, ...] = ()
