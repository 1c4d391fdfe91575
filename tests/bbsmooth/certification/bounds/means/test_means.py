"""Bounds on means: exact on short sequences of 0 and 1, by simulation on scores."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import binom

from bbsmooth.certification import ClopperPearson
from bbsmooth.certification.bounds.means import ConstantBets, EmpiricalBernstein, MeanBetting, MeanBound

ALPHA = 0.2
BOUNDS = pytest.mark.parametrize(
    "bound", [ConstantBets(), EmpiricalBernstein(), MeanBetting(10)], ids=lambda bound: str(bound.name)
)


@BOUNDS
def test_on_short_sequences_it_is_too_high_with_probability_at_most_alpha(bound: MeanBound) -> None:
    sequences = np.array(list(product([0.0, 1.0], repeat=10)))
    lowers = np.array([bound.lower(sequence, alpha=ALPHA) for sequence in sequences])
    hits = sequences.sum(1)
    for p in np.linspace(0.05, 0.95, 19):
        chances = p**hits * (1 - p) ** (10 - hits)
        assert chances[lowers > p].sum() <= ALPHA


def test_betting_holds_at_all_times_at_once() -> None:
    bound, length = MeanBetting(5), 8
    sequences = np.array(list(product([0.0, 1.0], repeat=length)))
    highest = np.array([max(bound.lower(row[:t], alpha=ALPHA) for t in range(1, length + 1)) for row in sequences])
    hits = sequences.sum(1)
    for p in np.linspace(0.1, 0.9, 9):
        chances = p**hits * (1 - p) ** (length - hits)
        assert chances[highest > p].sum() <= ALPHA


def test_constant_bets_hold_without_replacement_and_in_any_order() -> None:
    """All samples of 6 from 9 values, exactly: each set is as likely as every other."""
    values = np.array([0.0, 0.0, 0.1, 0.3, 0.5, 0.9, 1.0, 1.0, 1.0])
    sets = [values[list(chosen)] for chosen in combinations(range(9), 6)]
    lowers = np.array([ConstantBets().lower(chosen, alpha=ALPHA) for chosen in sets])
    assert (lowers > values.mean()).mean() <= ALPHA
    assert ConstantBets().lower(sets[40][::-1], alpha=ALPHA) == lowers[40]


@BOUNDS
@pytest.mark.parametrize("shape", [(8, 2), (0.5, 0.2), (0.1, 0.02), (30, 1)])
def test_on_scores_it_is_too_high_with_probability_at_most_alpha(bound: MeanBound, shape: tuple[float, float]) -> None:
    repeats, generator = 1_000, np.random.default_rng(0)
    mean = shape[0] / sum(shape)
    wrong = sum(bound.lower(generator.beta(*shape, 60), alpha=ALPHA) > mean for _ in range(repeats))
    assert wrong <= binom.ppf(0.999, repeats, ALPHA)


def test_on_votes_betting_comes_close_to_the_exact_bound() -> None:
    generator, bound = np.random.default_rng(1), MeanBetting(1_000)
    for p in (0.6, 0.9, 0.99):
        values = (generator.random(1_000) < p).astype(np.float64)
        exact = ClopperPearson().lower(int(values.sum()), 1_000, alpha=0.001)
        mean = float(values.mean())
        assert mean - 1.7 * (mean - exact) <= bound.lower(values, alpha=0.001) <= exact


def test_on_scores_of_little_variance_betting_is_tighter_than_bernstein() -> None:
    values = np.random.default_rng(2).beta(80, 20, 500)
    bernstein, betting = (bound.lower(values, alpha=0.001) for bound in (EmpiricalBernstein(), MeanBetting(500)))
    assert bernstein < betting < values.mean()


@BOUNDS
def test_constant_scores_and_zeros(bound: MeanBound) -> None:
    assert bound.lower(np.zeros(50), alpha=0.01) == 0
    assert 0 < bound.lower(np.full(5_000, 0.7), alpha=0.01) < 0.7
    assert bound.lower(np.array([1.0]), alpha=0.01) < 0.05


@BOUNDS
@pytest.mark.parametrize("values", [[], [0.5, 1.1], [-0.1, 0.5], [0.5, np.nan]])
def test_what_no_bound_holds_for_is_refused(bound: MeanBound, values: list[float]) -> None:
    with pytest.raises(ValueError, match="needs values in"):
        bound.lower(np.array(values), alpha=0.01)
    with pytest.raises(ValueError, match="alpha"):
        bound.lower(np.array([0.5, 0.5]), alpha=0.0)
    with pytest.raises(ValueError, match="at least 1"):
        MeanBetting(0)
