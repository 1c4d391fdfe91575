"""The bounds on a classifier that was changed, against votes whose probabilities are known."""

import numpy as np
import pytest
from scipy.stats import binom

from bbsmooth.certification import ClopperPearson
from bbsmooth.certification.methods.pairs import Pairs, lower_by_change, lower_by_votes

POSSIBLE = {"earlier_votes": 8, "earlier_trials": 10, "votes": 4, "trials": 5, "lost": 1}


def draw(generator: np.random.Generator, chances: tuple[float, float, float], trials: int, all_trials: int) -> Pairs:
    """Votes of both classifiers, with the probabilities of (both, lost, gained)."""
    both, lost, gained, _ = generator.multinomial(trials, [*chances, 1 - sum(chances)]).tolist()
    more = int(generator.binomial(all_trials - trials, chances[0] + chances[1]))
    return Pairs(
        earlier_votes=both + lost + more,
        earlier_trials=all_trials,
        votes=both + gained,
        trials=trials,
        lost=lost,
    )


@pytest.mark.parametrize(
    "chances", [(0.6, 0.05, 0.0), (0.6, 0.02, 0.02), (0.9, 0.003, 0.001), (0.5, 0.2, 0.25), (0.99, 0.005, 0.0)]
)
def test_each_bound_is_too_high_with_probability_at_most_alpha(chances: tuple[float, float, float]) -> None:
    alpha, repeats, generator = 0.2, 2_000, np.random.default_rng(0)
    truth = chances[0] + chances[2]
    pairs = [draw(generator, chances, 60, 600) for _ in range(repeats)]
    for bound in (lower_by_change, lower_by_votes):
        assert sum(bound(votes, alpha=alpha) > truth for votes in pairs) <= binom.ppf(0.999, repeats, alpha)


def test_the_levels_are_spent_on_what_the_formula_says() -> None:
    votes, bound = Pairs(earlier_votes=800, earlier_trials=1_000, votes=78, trials=100, lost=5), ClopperPearson()
    assert lower_by_votes(votes, alpha=0.002) == bound.lower(78, 100, alpha=0.002)
    expected = bound.lower(800, 1_000, alpha=0.001) - bound.upper(5, 100, alpha=0.001)
    assert lower_by_change(votes, alpha=0.002) == expected


def test_a_small_change_proves_more_by_the_change_and_a_large_one_by_the_votes() -> None:
    small = Pairs(earlier_votes=7_000, earlier_trials=10_000, votes=350, trials=500, lost=0)
    large = Pairs(earlier_votes=7_000, earlier_trials=10_000, votes=450, trials=500, lost=50)
    assert lower_by_change(small, alpha=0.001) > lower_by_votes(small, alpha=0.001)
    assert lower_by_change(large, alpha=0.001) < lower_by_votes(large, alpha=0.001)


@pytest.mark.parametrize(
    "change",
    [
        {"lost": 2},
        {"lost": -1},
        {"votes": 6},
        {"votes": -1},
        {"trials": 11},
        {"earlier_votes": 0},
        {"earlier_votes": 11},
    ],
)
def test_votes_that_contradict_each_other_are_refused(change: dict[str, int]) -> None:
    assert Pairs(**POSSIBLE).lost == 1
    with pytest.raises(ValueError, match="impossible votes"):
        Pairs(**POSSIBLE | change)
