"""Certification that stops as soon as the question is answered: the same guarantee for fewer queries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from torch import Tensor

from bbsmooth.certification.case import Tally
from bbsmooth.certification.cohen import select
from bbsmooth.certification.decisions import Boundaries, Decision, State, Watch, boundaries
from bbsmooth.certification.ordered import OrderedVotes
from bbsmooth.certification.sequences import FromSelection, OneSidedTest
from bbsmooth.certification.verdict import Abstention, Certificate, Evidence, Verdict
from bbsmooth.certification.votes import Draws, VoteSource
from bbsmooth.noise import NoiseDistribution
from oracles import Classes, Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialPlan:
    """The settings that a certificate's meaning depends on; none has a default.

    Args:
        noise: the smoothing distribution.
        num_selection: draws that choose the class (n0).
        max_estimation: most fresh draws that bound its probability; radii open by then stay undecided.
        alpha: probability, over the draws, that a certificate is wrong, whatever the number of radii.
        beta: probability, over the draws, that a radius is given up although it holds. It guards the budget; no
            certificate depends on it.
        radii: questions, ascending, each above 0.
        test: of one radius, on both sides.

    Raises:
        ValueError: a number of draws below 1, a level outside (0, 1), or radii that are not ascending and positive.
    """

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
            raise ValueError(f"n0 and n must be at least 1, got {self.num_selection} and {self.max_estimation}")
        if not (0 < self.alpha < 1 and 0 < self.beta < 1):
            raise ValueError(f"alpha and beta must lie between 0 and 1, got {self.alpha} and {self.beta}")
        if not (self.radii and self.radii[0] > 0 and list(self.radii) == sorted(set(self.radii))):
            raise ValueError(f"radii must be positive and ascending, got {self.radii}")

    @property
    def queries(self) -> int:
        """Queries for one image, at most."""
        return self.num_selection + self.max_estimation

    def test_given(self, votes: int) -> OneSidedTest:
        """The test for an image whose selected class got `votes` of the selection votes."""
        return self.test.given(votes, self.num_selection) if isinstance(self.test, FromSelection) else self.test

    def boundaries_given(self, votes: int, *, total_variation: float) -> Boundaries:
        """Where each radius is certified and refuted."""
        return boundaries(
            self.test_given(votes),
            tuple(self.noise.probability(radius) for radius in self.radii),
            margin=total_variation,
            alpha=self.alpha,
            beta=self.beta,
            cap=self.max_estimation,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a sequential certification says about one image.

    Attributes:
        verdict: a certificate for the largest radius that is proven, or an abstention.
        decisions: about each radius of the plan.
        selection_votes: for the selected class among the selection draws; with the plan they give the test.
    """

    verdict: Verdict
    decisions: tuple[Decision, ...]
    selection_votes: int

    def follows(self, plan: SequentialPlan) -> bool:
        """Whether the decisions and the verdict follow from the counts."""
        evidence = self.verdict.evidence
        bounds = plan.boundaries_given(self.selection_votes, total_variation=evidence.total_variation)
        total, hits = evidence.num_estimation, evidence.counts.get(evidence.selected, 0)
        for index, decision in enumerate(self.decisions):
            later = total - decision.draws
            if not (later >= 0 and 0 <= decision.successes <= decision.draws):
                return False
            if not hits - later <= decision.successes <= hits:
                return False
            certified = decision.successes >= bounds.upper[index, decision.draws]
            refuted = decision.successes <= bounds.lower[index, decision.draws]
            if (decision.state is State.CERTIFIED and not certified) or (
                decision.state is State.REFUTED and not refuted
            ):
                return False
        counts = Counter(evidence.counts)
        again = judge(
            evidence.selected,
            counts,
            self.decisions,
            plan,
            self.selection_votes,
            total_variation=evidence.total_variation,
        )
        in_order = sorted(self.decisions, key=lambda decision: _ORDER[decision.state]) == list(self.decisions)
        return (
            in_order and tuple(decision.radius for decision in self.decisions) == plan.radii and again == self.verdict
        )


_ORDER = {State.CERTIFIED: 0, State.UNDECIDED: 1, State.REFUTED: 2}  # of ascending radii


def judge(
    selected: int,
    counts: Counter[int],
    decisions: tuple[Decision, ...],
    plan: SequentialPlan,
    selection_votes: int,
    *,
    total_variation: float,
) -> Verdict:
    """The verdict that follows from the decisions and the votes.

    The radius is the largest that is certified, or the one that the test's own lower bound at the end proves, if that
    is larger. Both rest on one family of nested tests: together they are wrong with probability at most `plan.alpha`.

    Args:
        selected: class chosen by the selection draws.
        counts: votes among the estimation draws that were looked at.
        decisions: about the plan's radii.
        plan: the settings.
        selection_votes: for `selected`.
        total_variation: distance between drawn and ideal noise.
    """
    trials = counts.total()
    radius = max((decision.radius for decision in decisions if decision.state is State.CERTIFIED), default=0.0)
    p_lower = plan.noise.probability(radius) if radius > 0 else 0.0
    bound = plan.test_given(selection_votes).lower(counts[selected], trials, alpha=plan.alpha) - total_variation
    if bound > p_lower:
        p_lower, radius = bound, max(radius, plan.noise.radius(bound))
    evidence = Evidence(
        selected=selected,
        counts=dict(sorted(counts.items())),
        p_lower=p_lower,
        alpha=plan.alpha,
        num_selection=plan.num_selection,
        num_estimation=trials,
        total_variation=total_variation,
    )
    if not radius > 0:  # also for NaN: whatever is not proven is an abstention
        return Abstention(evidence=evidence)
    return Certificate(label=selected, radius=radius, norm=plan.noise.norm, evidence=evidence)


@dataclass(slots=True, eq=False)
class SequentialCase:
    """Sequential certification of one image.

    Votes are looked at in the order of their draws, and none after the one that decides: the outcome depends neither on
    the order in which answers arrive nor on how many too many were asked for.

    Args:
        image: (C, H, W) uint8.
        plan: the settings.
        source: gives the votes, and knows those on record.
        classes: of the oracle.
    """

    image: Tensor
    plan: SequentialPlan
    source: VoteSource
    classes: Classes
    _selection: Tally = field(init=False)
    _votes: OrderedVotes = field(init=False)
    _total_variation: float = field(init=False)
    _watch: Watch | None = field(init=False, default=None)
    _selected: int = field(init=False, default=-1)
    _until: int = field(init=False, default=0)  # draws to ask about now

    def __post_init__(self) -> None:
        """Go on from the votes on record."""
        self._total_variation = self.source.grid.total_variation(self.source.noise, self.image.numel())
        self._selection = Tally.open(self.source, self.image, Purpose.SELECT, self.plan.num_selection)
        self._votes = OrderedVotes.open(self.source, self.image, Purpose.ESTIMATE, self.plan.max_estimation)
        self._look()

    @property
    def cost(self) -> int:
        """Queries until the verdict, at most."""
        if self.finished:
            return 0
        return self._selection.backlog + self._votes.backlog(self.plan.max_estimation)

    @property
    def finished(self) -> bool:
        """Whether every radius is decided, or every draw answered."""
        return self._watch is not None and self._watch.finished

    def backlog(self, purpose: Purpose) -> int:
        """Draws that can be asked about now: few beyond what the decision is expected to take."""
        if purpose is Purpose.SELECT:
            return self._selection.backlog
        return self._votes.backlog(self._until) if purpose is Purpose.ESTIMATE else 0

    def take(self, purpose: Purpose, most: int) -> Draws:
        """The next draws to ask about, at most `most`."""
        if purpose is Purpose.SELECT:
            return self._selection.take(most)
        return self._votes.take(min(most, self._votes.backlog(self._until)))

    def tell(self, purpose: Purpose, draws: Draws, labels: Tensor) -> None:
        """Take down the answers to draws that were taken, and look at those whose turn has come."""
        if purpose is Purpose.SELECT:
            self._selection.tell(labels)
        else:
            self._votes.tell(draws, labels)
        self._look()

    def verdict(self) -> Verdict:
        """The verdict, once finished."""
        return self.outcome().verdict

    def outcome(self) -> Outcome:
        """The verdict with the decision about each radius, once finished."""
        if self._watch is None:
            raise RuntimeError("the selection is not answered yet")
        decisions = self._watch.decisions(self.plan.radii)
        votes = self._selection.counts[self._selected]
        counts = Counter(self._votes.labels[: self._watch.draws].tolist())
        verdict = judge(self._selected, counts, decisions, self.plan, votes, total_variation=self._total_variation)
        return Outcome(verdict=verdict, decisions=decisions, selection_votes=votes)

    def _look(self) -> None:
        if not self._selection.complete:
            return
        if self._watch is None:
            self._selected = select(self._selection.counts, self.classes)
            votes = self._selection.counts[self._selected]
            self._watch = Watch(self.plan.boundaries_given(votes, total_variation=self._total_variation))
        watch = self._watch
        watch.see(self._votes.labels[watch.draws : self._votes.known] == self._selected)
        ahead = watch.ahead(self._selection.counts[self._selected], self.plan.num_selection)
        self._until = watch.draws + ahead
