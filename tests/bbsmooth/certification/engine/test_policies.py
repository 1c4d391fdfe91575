import math

import numpy as np
import pytest

from bbsmooth.certification.engine.policies import POLICIES, Standing, cheapest_rate, expected_draws


def expected(successes: int, trials: int, *need: float, most: int = 10_000) -> float:
    return expected_draws(successes, trials, need, alpha=0.001, most=most)


def test_a_clear_image_is_expected_to_be_cheap_and_a_doubtful_one_dear() -> None:
    clear, middling, doubtful = expected(99, 100, 0.8), expected(87, 100, 0.8), expected(80, 100, 0.8)
    assert clear < middling < doubtful == 10_000


def test_the_expectation_is_the_lower_bound_on_mean_draws_less_the_votes() -> None:
    rate = 1_900.5 / 2_001
    divergence = rate * math.log(rate / 0.94) + (1 - rate) * math.log((1 - rate) / 0.06)
    assert expected(1_900, 2_000, 0.94) == pytest.approx(math.log(1_000) / divergence - 2_000)
    assert expected(1_900, 2_000, 0.94, most=50) == 50
    assert expected(1_000, 2_000, 0.94) == 1  # overdue


def test_the_dearest_open_radius_counts() -> None:
    assert expected(90, 100, 0.6, 0.89) == expected(90, 100, 0.89)
    assert expected(90, 100) == 0


def test_a_certain_need_is_refuted_at_once() -> None:
    assert expected(90, 100, 1.0) == 1


def test_another_image_is_worth_what_the_cheapest_begun_so_far_cost() -> None:
    assert cheapest_rate([], 100) == 0
    assert cheapest_rate([40.0], 100) == 140
    assert cheapest_rate([40.0, 10_000.0], 100) == 240  # the dear one's selection is paid too, it is not finished
    assert cheapest_rate([40.0, 60.0], 100) == 150


def test_the_alternatives_are_fair_in_their_own_ways() -> None:
    few = Standing(expected=500.0, votes=10, turns=3)
    many = Standing(expected=5.0, votes=90, turns=1)
    first = {name: min((few, many), key=policy.index) for name, policy in POLICIES.items()}
    assert first == {"cheapest": many, "uniform": few, "round-robin": many}
    assert [policy.fresh([5.0], 100) for name, policy in POLICIES.items() if name != "cheapest"] == [0, 0]


def test_the_expectation_is_close_to_what_a_decision_takes() -> None:
    from bbsmooth.certification.methods.decisions import RadiusTests, boundaries
    from bbsmooth.certification.sequences import Calibrated

    rules, generator = boundaries(Calibrated(), (0.8,), margin=0.0, alpha=0.001, beta=0.001, cap=5_000), np.random
    for p in (0.5, 0.7, 0.9, 0.97):
        draws = []
        for row in generator.default_rng(1).random((200, 5_000)) < p:
            tests = RadiusTests(rules)
            tests.see(row)
            draws.append(tests.draws)
        forecast = expected_draws(round(p * 10_000), 10_000, (0.8,), alpha=0.001, most=5_000) + 10_000
        assert forecast == 10_001 or 0.9 * forecast <= np.mean(draws) <= 1.4 * forecast
