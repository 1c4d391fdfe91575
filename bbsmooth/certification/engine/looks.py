"""When to look at votes that come in few large parts, so that the expected number of draws is least.

A test that holds at any time may look at its votes whenever it likes. Where each look takes hours there can only be a
few, and draws that were asked about beyond the decision are paid for in vain. Let T be the number of draws at which the
judge of an image would come to its verdict if it looked after each. With looks t_1 < ... < t_k = n the image takes
t_j draws, the first with T <= t_j; of all looks those are best that minimise

    sum_j t_j P(t_{j-1} < T <= t_j),

which dynamic programming finds for the law of T, here that of judges which see simulated votes. Their rate has the
posterior of Jeffreys' prior given the image's votes so far; before it has any, that of another image by chance. Only
the price depends on this: each verdict is that of the judge, on the votes in their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bbsmooth.certification.protocols import Judge, Plan, Selection
from bbsmooth.certification.verdict import Outcome
from bbsmooth.noise import NoiseDistribution

TRIALS = 60
"""Simulated judges of an image at a look."""

_FIRST = 4  # times as many before there is a vote: images differ by far more than the votes of one leave open


def next_look(ends: NDArray[np.int64], *, have: int, looks: int, cap: int) -> int:
    """The draws at which to look next.

    Args:
        ends: draws at which the verdict comes, a sample of it.
        have: draws so far.
        looks: that are left, this one included; the last is at `cap`.
        cap: most draws.
    """
    points = np.unique(np.append(np.clip(ends, have + 1, cap), cap))
    below = np.searchsorted(np.sort(np.clip(ends, have + 1, cap)), points, side="right") / max(1, len(ends))
    share = np.append(0.0, below)  # share[i]: decided by point i - 1; share[0]: by now
    cost = cap * (1 - share)
    choice = np.full(len(share), len(points))
    for _ in range(looks - 1):
        total = points[None, :] * (share[None, 1:] - share[:, None]) + cost[None, 1:]
        total[np.tril_indices(len(share), -1, len(points))] = np.inf
        choice, cost = 1 + total.argmin(1), np.append(total[:-1].min(1), 0.0)
    return int(points[choice[0] - 1])


@dataclass(slots=True)
class Looks:
    """The looks of the images of a run.

    Args:
        plan: of each image.
        most: looks of one image.
        total_variation: distance between drawn and ideal noise of one image.
        generator: of the simulated votes.
        trials: simulated judges of an image at a look.
    """

    plan: Plan
    most: int
    total_variation: float
    generator: np.random.Generator
    trials: int = TRIALS
    _kept: dict[tuple[int, int, int, int], int] = field(init=False, default_factory=dict)

    def first(self, votes: Sequence[tuple[int, int]] = ()) -> int:
        """Estimation draws to ask about together with the selection.

        Args:
            votes: of images of which some selection draws are known: those for the leading class, and all.
        """
        ends = np.array([self._fresh_end(votes) for _ in range(1 if self.fixed else _FIRST * self.trials)])
        return next_look(ends, have=0, looks=self.most, cap=self.plan.max_estimation)

    def next(self, selection: Selection, hits: NDArray[np.bool_], *, looks: int) -> int:
        """Estimation draws to ask about now, those that are known included; `looks` are left, this one included."""
        known = (selection.votes, len(hits), int(hits.sum()), looks)
        if known not in self._kept:
            self._kept[known] = self._next(selection, hits, looks)
        return self._kept[known]

    @property
    def fixed(self) -> bool:
        """True if each image takes all draws."""
        judge = self.plan.judge(self._selection(self.plan.num_selection))
        return judge.needed == self.plan.max_estimation

    def _next(self, selection: Selection, hits: NDArray[np.bool_], looks: int) -> int:
        cap = self.plan.max_estimation
        if looks <= 1:
            return cap
        won, trials = selection.votes + int(hits.sum()), self.plan.num_selection + len(hits)
        rates = self.generator.beta(won + 0.5, trials - won + 0.5, self.trials)
        ends = np.array([self._end(selection, hits, rate) for rate in rates])
        return next_look(ends, have=len(hits), looks=looks, cap=cap)

    def _fresh_end(self, votes: Sequence[tuple[int, int]]) -> int:
        place = int(self.generator.integers(len(votes) + 1))  # the last stands for images unlike all others
        won, trials = votes[place] if place < len(votes) else (0, 0)
        rate = float(self.generator.beta(won + 0.5, trials - won + 0.5))
        selection = self._selection(int(self.generator.binomial(self.plan.num_selection, rate)))
        return self._end(selection, np.zeros(0, dtype=np.bool_), rate)

    def _end(self, selection: Selection, hits: NDArray[np.bool_], rate: float) -> int:
        """Draws at the verdict, where further votes are hits at a rate."""
        judge = self.plan.judge(selection)
        further = self.generator.random(self.plan.max_estimation - len(hits)) < rate
        judge.see(np.concatenate([hits, further]))
        return judge.draws

    def _selection(self, votes: int) -> Selection:
        return Selection(selected=0, votes=votes, total_variation=self.total_variation)


@dataclass(frozen=True)
class InLooks:
    """A plan whose judge asks for draws as `Looks` does; for forecasts of what they cost.

    Args:
        looks: of the plan.
        votes: of images of which some selection draws are known: those for the leading class, and all.
    """

    looks: Looks
    votes: tuple[tuple[int, int], ...]
    name: ClassVar[str] = "in looks"

    @cached_property
    def first(self) -> int:
        """Estimation draws of the first look."""
        return self.looks.first(self.votes)

    @property
    def noise(self) -> NoiseDistribution:
        """That of the plan."""
        return self.looks.plan.noise

    @property
    def num_selection(self) -> int:
        """That of the plan."""
        return self.looks.plan.num_selection

    @property
    def max_estimation(self) -> int:
        """That of the plan."""
        return self.looks.plan.max_estimation

    @property
    def alpha(self) -> float:
        """That of the plan."""
        return self.looks.plan.alpha

    @property
    def largest_radius(self) -> float:
        """That of the plan."""
        return self.looks.plan.largest_radius

    @property
    def terms(self) -> Mapping[str, float | str]:
        """Those of the plan."""
        return self.looks.plan.terms

    def follows(self, outcome: Outcome) -> bool:
        """As the plan says."""
        return self.looks.plan.follows(outcome)

    def judge(self, selection: Selection) -> Judge:
        """Return the plan's judge of one image, in looks."""
        return _JudgeInLooks(self, selection, self.looks.plan.judge(selection))


@dataclass(slots=True)
class _JudgeInLooks:
    """A judge that asks for as many draws as the next look needs."""

    plan: InLooks
    selection: Selection
    judge: Judge
    _hits: list[NDArray[np.bool_]] = field(init=False, default_factory=list)

    @property
    def draws(self) -> int:
        return self.judge.draws

    @property
    def finished(self) -> bool:
        return self.judge.finished

    @property
    def needed(self) -> int:
        return self.judge.needed

    @property
    def until(self) -> int:
        if not self._hits:
            return self.plan.first
        looks = self.plan.looks
        return looks.next(self.selection, np.concatenate(self._hits), looks=max(1, looks.most - len(self._hits)))

    @property
    def expected(self) -> float:
        return self.judge.expected

    def see(self, hits: NDArray[np.bool_]) -> None:
        self._hits.append(hits)
        self.judge.see(hits)

    def outcome(self, counts: Counter[int]) -> Outcome:
        return self.judge.outcome(counts)
