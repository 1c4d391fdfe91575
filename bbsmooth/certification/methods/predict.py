"""PREDICT of Cohen, Rosenfeld, Kolter (ICML 2019): the smoothed class of an image, or an abstention."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bbsmooth.certification.cases.counted import CountedCase
from bbsmooth.certification.cases.votes import VoteSource, select
from bbsmooth.certification.verdict import Reason
from oracles import Classes, Purpose

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictPlan:
    """The settings that a prediction's meaning depends on.

    Args:
        num_draws: votes for one image (n).
        alpha: probability, over the draws, that a prediction is not the smoothed class.

    Raises:
        ValueError: no draw, or alpha outside (0, 1).
    """

    num_draws: int
    alpha: float

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can be predicted."""
        if self.num_draws < 1:
            raise ValueError(f"`num_draws` must be at least 1, got {self.num_draws}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must lie between 0 and 1, got {self.alpha}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Result of PREDICT.

    Attributes:
        label: the smoothed class, None for an abstention.
        counts: class to votes.
        p_value: of the two-sided test that the two leading classes are equally likely.
        alpha: probability, over the draws, that `label` is not the smoothed class.
        reason: of an abstention.
    """

    label: int | None
    counts: Mapping[int, int]
    p_value: float
    alpha: float
    reason: Reason | None = None


def fewest_votes(alpha: float) -> int:
    """The fewest votes, all for one class, that predict it: the two-sided p-value 2^(1 - n) is at most `alpha`."""
    return max(1, math.ceil(1 - math.log2(alpha)))


def predict(counts: Mapping[int, int], classes: Classes, *, alpha: float) -> Prediction:
    """The leading class, if its votes against the runner-up's reject equality at level `alpha`.

    Hung & Fithian (2019) show why the test of the two leading classes needs no correction for having picked them.
    """
    from scipy.stats import binomtest  # takes a second to import

    leader = select(counts, classes)
    runner_up = max((votes for number, votes in counts.items() if number != leader), default=0)
    p_value = float(binomtest(counts[leader], counts[leader] + runner_up, 0.5).pvalue)
    reason = None if p_value <= alpha else Reason.UNPROVEN
    if not classes.is_answer(leader):
        reason = Reason.NO_ANSWER
    label = leader if reason is None else None
    return Prediction(label=label, counts=dict(sorted(counts.items())), p_value=p_value, alpha=alpha, reason=reason)


class PredictCase(CountedCase):
    """PREDICT for one image.

    Args:
        image: (C, H, W) uint8.
        plan: the settings.
        source: gives the votes, and knows those on record.
        classes: of the oracle.
    """

    def __init__(self, image: Tensor, plan: PredictPlan, source: VoteSource, classes: Classes) -> None:
        """Go on from the votes on record."""
        super().__init__(image, Purpose.PREDICT, plan.num_draws, source, classes)
        self._alpha = plan.alpha

    def prediction(self) -> Prediction:
        """The prediction, once finished; an abstention where a draw will never be answered."""
        if self._tally.refused:
            return Prediction(label=None, counts={}, p_value=1.0, alpha=self._alpha, reason=Reason.REFUSED)
        return predict(self._tally.counts, self._classes, alpha=self._alpha)
