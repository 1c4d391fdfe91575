"""One budget for many images: whose draws are paid for next, and at which level each image is tested."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an undecided image stands.

    Attributes:
        successes: votes for its class so far, those of the selection included.
        trials: votes so far.
        probabilities: that the radii still open need.
        cap: most further draws.
        order: where it stands in the data.
    """

    successes: int
    trials: int
    probabilities: tuple[float, ...]
    cap: int
    order: int


Policy = Callable[[Standing], float]
"""An index: the undecided image with the lowest one gets the next draws."""


def cheapest_first(alpha: float) -> Policy:
    """Index: the draws that the decision is still expected to cost. The most images are decided with any budget.

    For each open radius log(1 / alpha) / KL(p_hat || p_R), Wald's lower bound on mean draws at the estimate
    p_hat = (S + 1/2) / (t + 1), less the votes so far; the dearest radius counts. What is spent is spent: only the rest
    matters.

    Args:
        alpha: level of a decision.
    """

    def index(standing: Standing) -> float:
        rate = (standing.successes + 0.5) / (standing.trials + 1)
        return max((_remaining(rate, standing, p_null, alpha) for p_null in standing.probabilities), default=0.0)

    return index


def uniform() -> Policy:
    """Index: votes so far. Every image gets as many as every other."""
    return lambda standing: standing.trials


def in_turn() -> Policy:
    """Index: the place in the data. Each image is finished before the next is begun."""
    return lambda standing: standing.order


def ranking(standings: Sequence[Standing], policy: Policy) -> list[int]:
    """Places of `standings`, the first to be served first; of equals the earlier in the data."""
    return sorted(range(len(standings)), key=lambda place: (policy(standings[place]), standings[place].order))


def bonferroni(alpha: float, images: int) -> float:
    """The level for each of `images` at which any certificate among them is wrong with probability at most `alpha`."""
    return alpha / images


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses Holm's procedure (1979) rejects; any wrong rejection has probability at most `alpha`.

    For numbers of draws fixed in advance, or for p-values that are valid at all times (1 / the largest wealth so far):
    all are compared when the last is known, so that an image's certificate depends on the others.

    Args:
        p_values: of "no certificate holds", one an image.
        alpha: for all images together.
    """
    rejected = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        if not p_values[place] <= alpha / (len(p_values) - rank):
            break
        rejected[place] = True
    return rejected


def _remaining(rate: float, standing: Standing, p_null: float, alpha: float) -> float:
    divergence = _divergence(rate, p_null)
    if divergence * standing.cap <= 0:
        return float(standing.cap)
    return min(float(standing.cap), max(1.0, math.log(1 / alpha) / divergence - standing.trials))


def _divergence(p: float, q: float) -> float:
    """KL(p || q) of Bernoulli distributions, p in (0, 1)."""
    if not 0 < q < 1:
        return math.inf
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
