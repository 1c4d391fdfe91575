"""What a plan can prove at most: whether anything, from how many draws on, and the radii worth reporting."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bbsmooth.certification.methods.adaptive import AdaptivePlan
from bbsmooth.certification.methods.cases import AnyPlan
from bbsmooth.certification.methods.cohen import CohenPlan
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.certification.methods.pairs import Pairs, lower_by_change, lower_by_votes
from bbsmooth.certification.methods.predict import PredictPlan, fewest_votes
from bbsmooth.certification.methods.sequential import SequentialPlan

MOST = 2**20
"""Draws beyond which nobody looks for a plan that could prove something."""

_STEPS = 5
"""Fewest steps between the radii of a report."""


def can_prove(plan: AnyPlan | PredictPlan) -> bool:
    """Say whether an image all of whose votes agree would be certified (or, by `PredictPlan`, predicted).

    No other votes prove more: every bound grows with the votes for the class. For Gaussian, Laplace and uniform noise a
    radius needs a probability above 1/2, so alpha^(1/n) > 1/2 by Clopper & Pearson.
    """
    match plan:
        case CohenPlan():
            return plan.largest_radius > 0
        case SequentialPlan():
            return _decides(plan)
        case AdaptivePlan():
            looks = plan.looks(plan.num_selection)
            return any(level ** (1 / draws) > 0.5 for draws, level in looks)
        case IncrementalPlan():
            n, before = plan.num_estimation, plan.earlier_estimation
            agreed = Pairs(earlier_votes=before, earlier_trials=before, votes=n, trials=n, lost=0)
            return max(bound(agreed, alpha=plan.alpha) for bound in (lower_by_votes, lower_by_change)) > 0.5
        case PredictPlan():
            return plan.num_draws >= fewest_votes(plan.alpha)
        case _:
            return True


def fewest_draws(plan: AnyPlan | PredictPlan) -> int | None:
    """The smallest number of draws with which `plan` could prove something; None where up to `MOST` do not suffice."""
    low, high = 1, 1
    while not can_prove(_with(plan, high)):
        low, high = high + 1, 2 * high
        if high > _most(plan):
            return None
    while low < high:
        middle = (low + high) // 2
        if can_prove(_with(plan, middle)):
            high = middle
        else:
            low = middle + 1
    return high


def unreachable_radii(plan: AnyPlan | PredictPlan) -> tuple[float, ...]:
    """Radii that a sequential plan can refute within its cap, but not certify even if all votes agree."""
    if not isinstance(plan, SequentialPlan):
        return ()
    return tuple(radius for radius in plan.radii if not can_prove(replace(plan, radii=(radius,))))


def usual_radii(largest: float) -> tuple[float, ...]:
    """Radii at which reports count if nobody names any: from 0 in steps of a round length, none above `largest`.

    They are some 6 to 11, or 0 alone where no radius can be had.
    """
    if not largest > 0:
        return (0.0,)
    power = 10.0 ** math.floor(math.log10(largest / _STEPS))
    step = max(part * power for part in (0.5, 1, 2, 2.5, 5) if part * power * _STEPS <= largest)
    rounded = (float(f"{step * number:.6g}") for number in range(round(largest / step) + 1))
    return tuple(radius for radius in rounded if radius <= largest)


def _decides(plan: SequentialPlan) -> bool:
    """True if the smallest radius can be certified within the cap, or the test's own bound proves another."""
    if plan.largest_radius > plan.radii[-1]:
        return True
    upper = replace(plan, radii=plan.radii[:1]).boundaries_given(plan.num_selection, total_variation=0.0).upper[0]
    return bool((upper <= np.arange(len(upper))).any())


def _with(plan: AnyPlan | PredictPlan, draws: int) -> AnyPlan | PredictPlan:
    match plan:
        case CohenPlan() | IncrementalPlan():
            return replace(plan, num_estimation=draws)
        case SequentialPlan() | AdaptivePlan():
            return replace(plan, max_estimation=draws)
        case PredictPlan():
            return replace(plan, num_draws=draws)
        case _:
            return plan


def _most(plan: AnyPlan | PredictPlan) -> int:
    return plan.earlier_estimation - 1 if isinstance(plan, IncrementalPlan) else MOST
