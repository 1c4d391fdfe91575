"""One budget for many images: whose draws are paid for next."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an image stands that is begun and not finished.

    Attributes:
        expected: queries until its verdict, as far as one can tell.
        votes: draws asked about so far.
        turns: how often it was asked about.
    """

    expected: float
    votes: int
    turns: int


@dataclass(frozen=True, slots=True)
class Policy:
    """Of the images that are begun the one with the lowest index gets the next draws.

    Attributes:
        index: of an image that is begun.
        fresh: of the next one that is not: from what each image begun so far costs once its class is chosen, as far as
            one can tell, and the number of draws that choose the class.
    """

    index: Callable[[Standing], float]
    fresh: Callable[[Sequence[float], int], float]


def cheapest_rate(costs: Sequence[float], num_selection: int) -> float:
    """Queries for one more verdict by beginning further images, if they are like those begun so far.

    To begin m images costs m times `num_selection`. Whoever then finishes only the k cheapest pays for each of them
    (m num_selection + the k smallest of `costs`) / k; the best k counts. 0 where nothing is known yet.
    """
    spent, rate = float(num_selection * len(costs)), math.inf
    for rank, cost in enumerate(sorted(costs), 1):
        spent += cost
        rate = min(rate, spent / rank)
    return rate if costs else 0.0


POLICIES = {
    "cheapest": Policy(lambda standing: standing.expected, cheapest_rate),
    "uniform": Policy(lambda standing: standing.votes, lambda costs, num_selection: 0.0),
    "round-robin": Policy(lambda standing: standing.turns, lambda costs, num_selection: 0.0),
}
"""By name: cheapest decides the most images with any budget; uniform gives every image as many draws as every other;
round-robin lets every image ask for what it likes, one after the other."""


def expected_draws(successes: int, trials: int, probabilities: Sequence[float], *, alpha: float, most: int) -> float:
    """Draws that decide whether a rate lies above or below each of several probabilities, as far as one can tell.

    That is log(1 / alpha) / KL(p_hat || p_R), Wald's lower bound on mean draws at the estimate p_hat = (S + 1/2) /
    (t + 1), less the votes so far; the dearest probability counts.

    Args:
        successes: votes for the class so far, those of the selection included.
        trials: votes so far.
        probabilities: that are still open.
        alpha: level of a decision.
        most: there are no more draws.
    """
    rate = (successes + 0.5) / (trials + 1)
    draws = (_draws(rate, p_null, alpha) - trials for p_null in probabilities)
    return min(float(most), max(1.0, *draws)) if probabilities else 0.0


def _draws(rate: float, p_null: float, alpha: float) -> float:
    divergence = math.inf
    if 0 < p_null < 1:
        divergence = rate * math.log(rate / p_null) + (1 - rate) * math.log((1 - rate) / (1 - p_null))
    return math.log(1 / alpha) / divergence if divergence > 0 else math.inf
