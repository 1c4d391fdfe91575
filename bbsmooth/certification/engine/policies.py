"""One budget for many images: whose draws are paid for next.

`cheapest` is to decide as many images as the budget allows. Each image is a box: to open it costs its selection draws
(n0), and shows about how many further queries X its decision takes. Whoever values a decision at z queries opens a box
where E[max(z - X, 0)] exceeds that cost, and pays for X where X is below z. So a box that is shut is worth the z at
which

    E[max(z - X, 0)] = cost of opening,

a box that is open is worth its X, and whatever is worth least comes next: Weitzman's rule ("Optimal search for the best
alternative", Econometrica 1979), which for boxes without number, of which as many as possible are wanted, is optimal at
every budget. Here it is an approximation: X is a forecast that every answer corrects, which is why an image that turns
out dear is left for another one.

The law of X is that of the images begun so far, and of a prior of the weight of one image: log-uniform from 1 to the
most that a decision can take. Without it a first image that is dear would hold all others back: nothing would suggest
that one of them might be cheap.

Since what an image is worth depends on the answers alone, the size of a batch matters only through the images that are
begun to fill it. That is done while the budget is sure to reach them; then batches stay small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Standing of an image that is begun and not finished.

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
            one can tell, the number of draws that choose the class, and the most that a decision takes beyond them.
    """

    index: Callable[[Standing], float]
    fresh: Callable[[Sequence[float], int, int], float]


def reservation_price(costs: Sequence[float], opening: int, most: int) -> float:
    """The value z of an image that is not begun: where E[max(z - X, 0)] = `opening`.

    With equal weights w on the k smallest of the values x of X this is (opening + sum w x) / sum w, least over k.

    Args:
        costs: X of the images begun so far.
        opening: queries that show X.
        most: X is at most this.
    """
    prior = np.geomspace(1, max(1, most), _PRIOR)
    values = np.concatenate([np.asarray(costs, dtype=np.float64), prior])
    weights = np.concatenate([np.ones(len(costs)), np.full(_PRIOR, 1 / _PRIOR)]) / (len(costs) + 1)
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(((opening + np.cumsum(weights[order] * values[order])) / below).min())


_PRIOR = 20  # points that stand for a log-uniform law

POLICIES = {
    "cheapest": Policy(lambda standing: standing.expected, reservation_price),
    "uniform": Policy(lambda standing: standing.votes, lambda costs, opening, most: 0.0),
    "round-robin": Policy(lambda standing: standing.turns, lambda costs, opening, most: 0.0),
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
