"""The bounds on two classes hold together, whichever class comes second and however many there are."""

import math
from collections import Counter
from itertools import product

import numpy as np
from scipy.stats import binom, multinomial, norm

from bbsmooth.certification import ClopperPearson
from bbsmooth.certification.bounds.two_class import two_class_bounds
from bbsmooth.noise import Gaussian

ALPHA = 0.1
TRIALS = 14
COUNTS = [(a, b, TRIALS - a - b) for a in range(TRIALS + 1) for b in range(TRIALS + 1 - a)]
BOUNDS = np.array([two_class_bounds(0, dict(enumerate(counts)), alpha=ALPHA) for counts in COUNTS])


def error(probabilities: tuple[float, float, float]) -> float:
    """The exact probability that either bound is wrong."""
    wrong = (BOUNDS[:, 0] > probabilities[0]) | (BOUNDS[:, 1] < max(probabilities[1:]))
    return float(multinomial.pmf(COUNTS, TRIALS, probabilities)[wrong].sum())


def test_both_bounds_are_wrong_with_probability_at_most_alpha() -> None:
    grid = np.linspace(0.005, 0.99, 34)
    errors = [error((p, (1 - p) * share, (1 - p) * (1 - share))) for p, share in product(grid, np.linspace(0.5, 1, 12))]
    assert max(errors) <= ALPHA
    assert max(errors) > 0.6 * ALPHA  # and they are not idle


def test_a_runner_up_that_is_drawn_from_equals_has_the_level_of_one_class() -> None:
    """Twenty others, all as likely: the largest count is that of a lucky one, which only raises the bound."""
    trials, alpha, repeats = 200, 0.2, 4_000
    probabilities = [0.4] + [0.03] * 20
    draws = np.random.default_rng(0).multinomial(trials, probabilities, size=repeats)
    uppers = [two_class_bounds(0, dict(enumerate(row.tolist())), alpha=alpha)[1] for row in draws]
    assert sum(upper < 0.03 for upper in uppers) <= binom.ppf(0.999, repeats, alpha / 2)


def test_classes_that_were_never_seen_are_bounded_too() -> None:
    """An open set of 1,000 names, each of probability 0.0005; nearly all are never answered."""
    trials, alpha, repeats = 100, 0.2, 2_000
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(repeats):
        names = np.where(generator.random(trials) < 0.5, 0, generator.integers(1, 1_001, trials))
        wrong += two_class_bounds(0, Counter(names.tolist()), alpha=alpha)[1] < 0.0005
    assert wrong <= binom.ppf(0.999, repeats, alpha / 2)


def test_the_runner_up_is_bounded_by_itself_or_by_all_others() -> None:
    p_lower, p_upper = two_class_bounds(7, {7: 900, 1: 60, 2: 40}, alpha=0.01)
    assert p_lower == ClopperPearson().lower(900, 1_000, alpha=0.005)
    assert p_upper == ClopperPearson().upper(60, 1_000, alpha=0.005)
    p_lower, p_upper = two_class_bounds(7, {7: 900, 1: 100}, alpha=0.01)
    assert p_upper == 1 - p_lower
    assert two_class_bounds(3, {1: 5}, alpha=0.01)[0] == 0.0


def test_no_radius_exceeds_the_truth_more_often_than_alpha() -> None:
    """Along one direction: class 0 below 0.1, class 1 above 0.15, class 2 between. The radius of class 0 is 0.125."""
    noise, alpha, trials, repeats = Gaussian(0.25), 0.1, 300, 4_000
    first, last = norm.cdf(0.1 / noise.sigma), norm.sf(0.15 / noise.sigma)
    draws = np.random.default_rng(2).multinomial(trials, [first, last, 1 - first - last], size=repeats)
    radii = np.array(
        [noise.radius_between(*two_class_bounds(0, dict(enumerate(row.tolist())), alpha=alpha)) for row in draws]
    )
    assert 0 < (radii > 0.125).sum() <= binom.ppf(0.999, repeats, alpha)
    single = noise.radius(ClopperPearson().lower(round(first * trials), trials, alpha=alpha))
    assert math.isclose(noise.radius(first), 0.1)
    assert radii.mean() > single
