"""Certification without chance: every view of an image under splitting noise is asked about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from bbsmooth.certification.cases.votes import select
from bbsmooth.certification.verdict import Abstention, Certificate, Evidence, Outcome, Reason
from bbsmooth.noise import Splitting
from oracles import Classes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SplittingPlan:
    """The settings of certificates that are no statement of probability: alpha is 0, and nothing is selected.

    They hold for a classifier that always gives equal images the same answer.

    Args:
        noise: which views there are.
    """

    name: ClassVar[str] = "splitting"
    alpha: ClassVar[float] = 0.0
    num_selection: ClassVar[int] = 0
    noise: Splitting

    @property
    def max_estimation(self) -> int:
        """All views."""
        return self.noise.views

    @property
    def queries(self) -> int:
        """Queries for one image."""
        return self.noise.views

    @property
    def largest_radius(self) -> float:
        """Radius where all views agree."""
        return self.noise.radius(self.noise.views, 0)

    @property
    def terms(self) -> Mapping[str, float | str]:
        """Nothing besides what every line says."""
        return {}

    def conclude(self, labels: NDArray[np.int32] | None, classes: Classes) -> Outcome:
        """Return what the labels of all views prove; None where one is refused."""
        if labels is None:
            return Outcome(
                verdict=Abstention(evidence=self._evidence(None, {}), reason=Reason.REFUSED), selection_votes=0
            )
        counts = Counter(labels.tolist())
        selected = select(counts, classes)
        if not classes.is_answer(selected):
            evidence = replace(self._evidence(selected, counts), p_lower=0.0)
            return Outcome(verdict=Abstention(evidence=evidence, reason=Reason.NO_ANSWER), selection_votes=0)
        return self._outcome(selected, counts)

    def follows(self, outcome: Outcome) -> bool:
        """True if `outcome` is what these settings make of the counts in it."""
        evidence = outcome.verdict.evidence
        if evidence.selected is None or sum(evidence.counts.values()) != self.noise.views:
            return False
        return outcome == self._outcome(evidence.selected, evidence.counts)

    def _outcome(self, selected: int, counts: Mapping[int, int]) -> Outcome:
        evidence = self._evidence(selected, counts)
        runner_up = max((votes for number, votes in counts.items() if number != selected), default=0)
        radius = self.noise.radius(counts.get(selected, 0), runner_up)
        if not radius > 0:
            return Outcome(verdict=Abstention(evidence=evidence), selection_votes=0)
        certificate = Certificate(label=selected, radius=radius, norm=self.noise.norm, evidence=evidence)
        return Outcome(verdict=certificate, selection_votes=0)

    def _evidence(self, selected: int | None, counts: Mapping[int, int]) -> Evidence:
        return Evidence(
            selected=selected,
            counts=dict(sorted(counts.items())),
            p_lower=0.0 if selected is None else counts.get(selected, 0) / self.noise.views,
            alpha=self.alpha,
            num_selection=0,
            num_estimation=self.noise.views if counts else 0,
            total_variation=0.0,
        )
