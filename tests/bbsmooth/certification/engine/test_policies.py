import math

import numpy as np
import pytest

from bbsmooth.certification.engine.policies import POLICIES, Standing, expected_draws, reservation_price


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


@pytest.mark.parametrize("costs", [[], [40.0], [10_000.0], [40.0, 60.0, 9_000.0], list(range(1, 900, 7))], ids=len)
@pytest.mark.parametrize("opening", [1, 20, 100, 1_000])
def test_an_image_that_is_not_begun_is_worth_what_makes_opening_it_even(costs: list[float], opening: int) -> None:
    """Weitzman's equation, E[max(z - X, 0)] = opening, over the images seen and one that is log-uniform."""
    z = reservation_price(costs, opening, 10_000)
    prior = np.maximum(z - np.geomspace(1, 10_000, 20), 0).mean()
    seen = sum(max(z - cost, 0) for cost in costs)
    assert (prior + seen) / (1 + len(costs)) == pytest.approx(opening)


def test_a_dear_first_image_does_not_hold_back_the_others_and_many_cheap_ones_are_believed() -> None:
    assert reservation_price([10_000.0], 100, 10_000) < 1_000
    assert reservation_price([50.0] * 100, 100, 10_000) == pytest.approx(150, rel=0.02)
    assert reservation_price([10_000.0] * 1_000, 100, 10_000) > 9_000


def test_the_alternatives_are_fair_in_their_own_ways() -> None:
    few = Standing(expected=500.0, votes=10, turns=3)
    many = Standing(expected=5.0, votes=90, turns=1)
    first = {name: min((few, many), key=policy.index) for name, policy in POLICIES.items()}
    assert first == {"cheapest": many, "uniform": few, "round-robin": many}
    assert [policy.fresh([5.0], 100, 10_000) for name, policy in POLICIES.items() if name != "cheapest"] == [0, 0]


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
