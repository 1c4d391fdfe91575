"""Every test against what it must do, computed exactly."""

import math
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from bbsmooth.certification.sequences import (
    BetaBinomial,
    Betting,
    Boundary,
    Calibrated,
    LearnedPrior,
    OneSidedTest,
    Stitched,
    TruncatedBetaBinomial,
    certifying,
    never,
    refuting,
    stopping,
)

ALPHA = 0.001
CERTIFYING = [(0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 0.95), (0.9, 0.99), (0.9, 0.999)]
LEARNED = LearnedPrior.learn([(980, 1_000), (450, 500), (30, 100)])
TESTS: list[OneSidedTest] = [
    BetaBinomial(),
    TruncatedBetaBinomial(),
    Betting(),
    Stitched(),
    Calibrated(),
    Calibrated(BetaBinomial()),
    Calibrated(TruncatedBetaBinomial()),
    LearnedPrior.flat(),
    LEARNED,
    LEARNED.after(97, 100),
]
SEQUENCES: list[OneSidedTest] = [BetaBinomial(), TruncatedBetaBinomial(), Betting(), Stitched()]
# Mean draws at (p_R, p) = (.6, .5), refuting, then CERTIFYING, for no cap that matters: design/method.md.
PUBLISHED = {
    BetaBinomial(): (474, 445, 370, 254, 581, 129, 96),
    TruncatedBetaBinomial(): (443, 403, 328, 218, 479, 106, 80),
    Calibrated(BetaBinomial()): (424, 390, 320, 215, 472, 105, 79),
    Betting(): (437, 410, 340, 234, 537, 119, 89),
}


def divergence(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def mean_draws(test: OneSidedTest, p_radius: float, p: float, cap: int) -> float:
    if p < p_radius:
        return stopping(p, lower=refuting(test, p_radius, beta=ALPHA, cap=cap)).mean
    return stopping(p, upper=certifying(test, p_radius, alpha=ALPHA, cap=cap)).mean


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
@pytest.mark.parametrize("p_radius", [0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("cap", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_the_exact_error_is_at_most_alpha(test: OneSidedTest, p_radius: float, cap: int) -> None:
    upper = certifying(test, p_radius, alpha=ALPHA, cap=cap)
    lower = refuting(test, p_radius, beta=ALPHA, cap=cap)
    for below in (0.0, 1e-6, 0.05):
        assert stopping(p_radius - below, upper=upper).certification <= ALPHA
        assert stopping(min(1.0, p_radius + below), lower=lower).refutation <= ALPHA
    both = stopping(p_radius, upper=upper, lower=lower)
    assert max(both.certification, both.refutation) <= ALPHA


@pytest.mark.parametrize("alpha", [0.3, 0.05, 1e-5])
@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_the_exact_error_is_at_most_alpha_at_other_levels_and_rates(test: OneSidedTest, alpha: float) -> None:
    for p_null in (1e-4, 0.03, 0.5, 0.5001, 0.999, 1 - 1e-7):
        for cap in (1, 2, 30, 500):
            upper = certifying(test, p_null, alpha=alpha, cap=cap)
            assert stopping(p_null, upper=upper).certification <= alpha


@pytest.mark.parametrize("p_radius", [0.6, 0.7, 0.8, 0.9])
def test_calibration_spends_nearly_all_of_alpha(p_radius: float) -> None:
    upper = certifying(Calibrated(), p_radius, alpha=ALPHA, cap=2_000)
    assert stopping(p_radius, upper=upper).certification > 0.95 * ALPHA


@pytest.mark.parametrize("test", PUBLISHED, ids=lambda test: test.name)
def test_mean_draws_are_those_of_the_reference(test: OneSidedTest) -> None:
    means = [mean_draws(test, p_radius, p, 10_000) for p_radius, p in [(0.6, 0.5), *CERTIFYING]]
    assert means == pytest.approx(PUBLISHED[test], rel=0.015)


def test_the_calibrated_test_needs_at_most_a_quarter_more_than_any_test_must() -> None:
    for p_radius, p in [(0.6, 0.5), *CERTIFYING]:
        least = math.log(1 / ALPHA) / divergence(p, p_radius)
        assert least > 30
        assert least < mean_draws(Calibrated(), p_radius, p, 10_000) < 1.25 * least


def test_a_prior_learnt_from_like_images_comes_close_to_the_test_that_knows_the_rate() -> None:
    for p_radius, p in [(0.6, 0.5), *CERTIFYING]:
        learned = LearnedPrior.learn([(round(1_000 * p), 1_000)] * 20)
        least = math.log(1 / ALPHA) / divergence(p, p_radius)
        informed = mean_draws(learned, p_radius, p, 3_000)
        assert informed < 1.08 * least
        assert informed < mean_draws(Calibrated(), p_radius, p, 3_000)


def test_a_misleading_past_costs_little() -> None:
    misled = LearnedPrior.learn([(999, 1_000)] * 20)
    assert mean_draws(misled, 0.7, 0.8, 5_000) < 1.5 * mean_draws(LearnedPrior.flat(), 0.7, 0.8, 5_000)


def brute_force(p: float, upper: Boundary, lower: Boundary) -> tuple[float, float, float]:
    """(certified, refuted, mean) by the plain recursion over all (t, S_t)."""
    cap = len(upper) - 1
    mass = np.zeros(cap + 2)
    mass[0], certified, refuted, mean, counts = 1.0, 0.0, 0.0, 0.0, np.arange(cap + 2)
    for time in range(1, cap + 1):
        mean += mass.sum()
        mass = (1 - p) * mass + p * np.concatenate([[0.0], mass[:-1]])
        certified += mass[counts >= upper[time]].sum()
        refuted += mass[counts <= lower[time]].sum()
        mass[(counts >= upper[time]) | (counts <= lower[time])] = 0
    return certified, refuted, mean


@pytest.mark.parametrize("p", [0.3, 0.61, 0.75, 0.98])
@pytest.mark.parametrize("test", [TruncatedBetaBinomial(), Stitched(), LEARNED], ids=lambda test: test.name)
def test_dynamic_programming_agrees_with_the_plain_recursion(test: OneSidedTest, p: float) -> None:
    upper, lower = certifying(test, 0.7, alpha=0.05, cap=400), refuting(test, 0.7, beta=0.02, cap=400)
    ended = stopping(p, upper=upper, lower=lower)
    expected = brute_force(p, upper, lower)
    assert (ended.certification, ended.refutation, ended.mean) == pytest.approx(expected, rel=1e-8, abs=1e-20)
    assert ended.decided_by(400) + ended.open == pytest.approx(1, abs=1e-12)


@cache
def walks(p: float, repetitions: int, draws: int) -> NDArray[np.int16]:
    generator = np.random.default_rng(7)
    return np.cumsum(generator.random((repetitions, draws), dtype=np.float32) < p, axis=1, dtype=np.int16)


@pytest.mark.slow
@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
@pytest.mark.parametrize("p", [0.6, 0.9])
def test_whoever_stops_at_the_most_favourable_moment_errs_no_more_often(test: OneSidedTest, p: float) -> None:
    counts = walks(p, 20_000, 2_000)
    upper = certifying(test, p, alpha=0.01, cap=2_000)
    wrong = (counts >= upper[1:]).any(1).mean()
    assert wrong <= 0.01 + 4 * math.sqrt(0.01 / 20_000)
    assert wrong == pytest.approx(stopping(p, upper=upper).certification, abs=4 * math.sqrt(0.01 / 20_000))


@pytest.mark.parametrize("test", SEQUENCES, ids=lambda test: test.name)
def test_the_lower_bound_is_where_the_boundary_is_just_reached(test: OneSidedTest) -> None:
    for successes, trials in [(1, 1), (40, 40), (60, 100), (99, 100), (700, 1_000), (990, 1_000)]:
        bound = test.lower(successes, trials, alpha=0.05)
        assert 0 < bound < successes / trials
        for p_null in np.linspace(0.02, 0.999, 120):
            reached = successes >= certifying(test, float(p_null), alpha=0.05, cap=trials)[trials]
            if abs(p_null - bound) > 1e-5:  # every rate below the bound is rejected, and none above
                assert reached == (p_null < bound)


@pytest.mark.parametrize("test", SEQUENCES, ids=lambda test: test.name)
@pytest.mark.parametrize("p", [0.3, 0.9])
def test_no_lower_bound_of_a_whole_sequence_exceeds_the_rate_too_often(test: OneSidedTest, p: float) -> None:
    draws, alpha = 60, 0.1
    bounds = [[test.lower(hits, trials, alpha=alpha) for hits in range(trials + 1)] for trials in range(1, draws + 1)]
    wrong = never(draws)
    for trials, row in enumerate(bounds, 1):
        wrong[trials] = next((hits for hits, bound in enumerate(row) if bound > p), trials + 1)
        assert row == sorted(row)
    assert stopping(p, upper=wrong).certification <= alpha


def test_tests_that_have_no_bound_at_all_times_claim_none() -> None:
    assert Calibrated().lower(99, 100, alpha=0.01) == LEARNED.lower(99, 100, alpha=0.01) == 0


def test_impossible_and_certain_nulls() -> None:
    assert (certifying(BetaBinomial(), 1.0, alpha=0.1, cap=5) == never(5)).all()
    assert (certifying(BetaBinomial(), 1.5, alpha=0.1, cap=5) == never(5)).all()
    assert certifying(BetaBinomial(), 0.0, alpha=0.1, cap=5)[1:].tolist() == [1] * 5
    assert refuting(BetaBinomial(), 1.0, beta=0.1, cap=3)[1:].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("alpha", "cap", "message"), [(0.0, 5, "alpha"), (1.0, 5, "alpha"), (0.1, 0, "1 draw")])
def test_settings_that_make_no_sense_are_refused(alpha: float, cap: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        certifying(BetaBinomial(), 0.5, alpha=alpha, cap=cap)


@pytest.mark.parametrize(("weights", "hedge"), [((), 0.1), ((0.5, 0.6), 0.1), ((1.5, -0.5), 0.1), ((1.0,), 0.0)])
def test_a_prior_that_is_none_is_refused(weights: tuple[float, ...], hedge: float) -> None:
    with pytest.raises(ValueError, match="must"):
        LearnedPrior(weights, hedge)


def test_boundaries_are_computed_once_and_cannot_be_changed() -> None:
    first = certifying(TruncatedBetaBinomial(), 0.7, alpha=0.01, cap=50)
    assert certifying(TruncatedBetaBinomial(), 0.7, alpha=0.01, cap=50) is first
    with pytest.raises(ValueError, match="read-only"):
        first[1] = 0
