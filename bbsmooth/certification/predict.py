"""PREDICT of Cohen, Rosenfeld, Kolter (ICML 2019): the smoothed class of an image, or an abstention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import binomtest

from bbsmooth.certification.cohen import select
from oracles import Classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What PREDICT says.

    Attributes:
        label: the smoothed class, None for an abstention.
        counts: class to votes.
        p_value: of the two-sided test that the two leading classes are equally likely.
        alpha: probability, over the draws, that `label` is not the smoothed class.
    """

    label: int | None
    counts: Mapping[int, int]
    p_value: float
    alpha: float


def predict(counts: Mapping[int, int], classes: Classes, *, alpha: float) -> Prediction:
    """The leading class, if its votes against the runner-up's reject equality at level `alpha`.

    Hung & Fithian (2019) make the test of the two leading classes valid without a correction for having picked them.
    """
    leader = select(counts, classes)
    runner_up = max((votes for number, votes in counts.items() if number != leader), default=0)
    p_value = float(binomtest(counts[leader], counts[leader] + runner_up, 0.5).pvalue)
    return Prediction(label=leader if p_value <= alpha else None, counts=dict(counts), p_value=p_value, alpha=alpha)
