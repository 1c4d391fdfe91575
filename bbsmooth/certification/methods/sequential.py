"""Radii decided with as few draws as their certainty takes, and none after the one that decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from bbsmooth.certification.methods.decisions import Boundaries, RadiusTests, boundaries
from bbsmooth.certification.protocols import Selection
from bbsmooth.certification.sequences import FromSelection, OneSidedTest
from bbsmooth.certification.verdict import Abstention, Certificate, Decision, Evidence, Outcome, State, Verdict
from bbsmooth.noise import NoiseDistribution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialPlan:
    """The settings that a certificate's meaning depends on; none has a default.

    Args:
        noise: the smoothing distribution.
        num_selection: draws that choose the class (n0).
        max_estimation: most fresh draws that bound its probability; radii open by then stay undecided.
        alpha: probability, over the draws, that a certificate is wrong, whatever the number of radii.
        beta: level of giving up: for each radius that holds, the probability, over the draws, that it is refuted.
            Such a radius may also be left undecided. It guards the budget; no certificate depends on it.
        radii: questions, ascending. Radius 0 asks whether the class is the smoothed one at the image itself.
        test: of one radius, on both sides.

    Raises:
        ValueError: a number of draws below 1, a level outside (0, 1), or radii that are not ascending from 0.
    """

    name: ClassVar[str] = "sequential"
    noise: NoiseDistribution
    num_selection: int
    max_estimation: int
    alpha: float
    beta: float
    radii: tuple[float, ...]
    test: OneSidedTest | FromSelection

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can be decided."""
        if self.num_selection < 1 or self.max_estimation < 1:
            raise ValueError(
                "`num_selection` and `num_estimation` must be at least 1, "
                f"got {self.num_selection} and {self.max_estimation}"
            )
        if not (0 < self.alpha < 1 and 0 < self.beta < 1):
            raise ValueError(f"`alpha` and `beta` must lie between 0 and 1, got {self.alpha} and {self.beta}")
        if not (self.radii and self.radii[0] >= 0 and list(self.radii) == sorted(set(self.radii))):
            raise ValueError(f"`radii` must be ascending and not negative, got {self.radii}")

    @property
    def largest_radius(self) -> float:
        """The largest that was asked about, or what the test's own bound proves where all votes agree."""
        test = self.test_given(self.num_selection)
        bound = test.lower(self.max_estimation, self.max_estimation, alpha=self.alpha)
        return max(self.radii[-1], self.noise.radius(bound))

    @property
    def terms(self) -> Mapping[str, float | str]:
        """Cap, level of the refutations and test."""
        return {"cap": self.max_estimation, "beta": self.beta, "test": self.test.name}

    def test_given(self, votes: int) -> OneSidedTest:
        """The test for an image whose selected class got `votes` of the selection votes."""
        return self.test.given(votes, self.num_selection) if isinstance(self.test, FromSelection) else self.test

    def boundaries_given(self, votes: int, *, total_variation: float) -> Boundaries:
        """Return the boundaries at which each radius is certified and refuted."""
        return boundaries(
            self.test_given(votes),
            tuple(self.noise.probability(radius) for radius in self.radii),
            margin=total_variation,
            alpha=self.alpha,
            beta=self.beta,
            cap=self.max_estimation,
        )

    def judge(self, selection: Selection) -> SequentialJudge:
        """Return the judge of the votes of one image."""
        return SequentialJudge(self, selection)

    def follows(self, outcome: Outcome) -> bool:
        """True if the decisions and the verdict are what these settings make of the counts."""
        evidence, decisions = outcome.verdict.evidence, outcome.decisions
        if evidence.selected is None or tuple(decision.radius for decision in decisions) != self.radii:
            return False
        total, hits = evidence.num_estimation, evidence.counts.get(evidence.selected, 0)
        selection = Selection(
            selected=evidence.selected, votes=outcome.selection_votes, total_variation=evidence.total_variation
        )
        bounds = self.boundaries_given(selection.votes, total_variation=selection.total_variation)
        states = [decision.state for decision in decisions]
        return (
            sum(evidence.counts.values()) == total <= self.max_estimation
            and states == sorted(states, key=list(State).index)
            and _one_sequence(decisions, total, hits)
            and all(_rejected(decision, bounds, place) for place, decision in enumerate(decisions))
            and prove(selection, Counter(evidence.counts), decisions, self) == outcome.verdict
        )


def _one_sequence(decisions: tuple[Decision, ...], total: int, hits: int) -> bool:
    """True if one sequence of votes can have had all these counts, and the `hits` of `total` at its end.

    Where every radius is decided, that end is the last of the decisions: no vote is looked at after it.
    """
    counts = sorted({(0, 0), (total, hits), *((decision.draws, decision.successes) for decision in decisions)})
    grown = all(0 <= won - before <= draws - earlier for (earlier, before), (draws, won) in pairwise(counts))
    open_ = any(decision.state is State.UNDECIDED for decision in decisions)
    return grown and counts[-1] == (total, hits) and (open_ or total == max(one.draws for one in decisions))


def _rejected(decision: Decision, bounds: Boundaries, place: int) -> bool:
    """True if the counts of a decision lie where its test rejects."""
    if decision.state is State.CERTIFIED:
        return bool(decision.successes >= bounds.upper[place, decision.draws])
    return decision.state is State.UNDECIDED or bool(decision.successes <= bounds.lower[place, decision.draws])


def prove(selection: Selection, counts: Counter[int], decisions: tuple[Decision, ...], plan: SequentialPlan) -> Verdict:
    """The verdict that follows from the decisions and the votes.

    The radius is the largest that is certified, or the one that the test's own lower bound at the end proves, if that
    is larger. Both rest on one family of nested tests: together they are wrong with probability at most `plan.alpha`.

    Args:
        selection: what the selection draws said.
        counts: votes among the estimation draws that were looked at.
        decisions: about the plan's radii.
        plan: the settings.
    """
    trials, selected = counts.total(), selection.selected
    certified = [decision.radius for decision in decisions if decision.state is State.CERTIFIED]
    p_lower = plan.noise.probability(max(certified)) if certified else 0.0
    bound = plan.test_given(selection.votes).lower(counts[selected], trials, alpha=plan.alpha)
    bound -= selection.total_variation
    evidence = Evidence(
        selected=selected,
        counts=dict(sorted(counts.items())),
        p_lower=max(p_lower, bound),
        alpha=plan.alpha,
        num_selection=plan.num_selection,
        num_estimation=trials,
        total_variation=selection.total_variation,
    )
    radius = max([*certified, plan.noise.radius(bound)])
    if not (certified or radius > 0):  # also for NaN: whatever is not proven is an abstention
        return Abstention(evidence=evidence)
    return Certificate(label=selected, radius=radius, norm=plan.noise.norm, evidence=evidence)


@dataclass(slots=True)
class SequentialJudge:
    """Stops as soon as every radius is certified or refuted.

    Args:
        plan: the settings.
        selection: what the selection draws said.
    """

    plan: SequentialPlan
    selection: Selection
    _tests: RadiusTests = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is decided yet."""
        bounds = self.plan.boundaries_given(self.selection.votes, total_variation=self.selection.total_variation)
        self._tests = RadiusTests(bounds)

    @property
    def draws(self) -> int:
        """Votes looked at so far."""
        return self._tests.draws

    @property
    def finished(self) -> bool:
        """True if every radius is decided, or every draw answered."""
        return self._tests.finished

    @property
    def needed(self) -> int:
        """One more."""
        return self._tests.draws + 1

    @property
    def until(self) -> int:
        """Few beyond what the decision is expected to take."""
        return self._tests.draws + self._tests.ahead(self.selection.votes, self.plan.num_selection)

    @property
    def expected(self) -> float:
        """Further votes that the decision is expected to take."""
        return self._tests.expected(self.selection.votes, self.plan.num_selection)

    def see(self, hits: NDArray[np.bool_]) -> None:
        """Look at the next votes."""
        self._tests.see(hits)

    def outcome(self, counts: Counter[int]) -> Outcome:
        """The decisions and what they prove, once finished."""
        decisions = self._tests.decisions(self.plan.radii)
        verdict = prove(self.selection, counts, decisions, self.plan)
        return Outcome(verdict=verdict, selection_votes=self.selection.votes, decisions=decisions)
