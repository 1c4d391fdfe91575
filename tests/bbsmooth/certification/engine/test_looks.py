"""Few looks at votes: the best ones, by trying all; and plans that take them."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from bbsmooth.certification import CohenPlan, SequentialPlan
from bbsmooth.certification.engine.looks import InLooks, Looks, next_look
from bbsmooth.certification.protocols import Selection
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.noise import Gaussian

CAP = 12
PLAN = SequentialPlan(
    noise=Gaussian(0.5), num_selection=20, max_estimation=400, alpha=0.01, beta=0.05, radii=(0.2,), test=DEFAULT_TEST
)


def draws(ends: list[int], looks: tuple[int, ...]) -> float:
    """Mean draws with these looks."""
    return float(np.mean([min(look for look in looks if look >= end) for end in ends]))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("looks", [1, 2, 3])
def test_the_first_of_the_best_looks_is_chosen(seed: int, looks: int) -> None:
    ends = np.random.default_rng(seed).integers(3, CAP + 1, 9).tolist()
    ways = [(*way, CAP) for count in range(looks) for way in combinations(range(3, CAP), count)]
    best = min(draws(ends, way) for way in ways)
    first = next_look(np.array(ends), have=2, looks=looks, cap=CAP)
    assert min(draws(ends, way) for way in ways if way[0] == first) == pytest.approx(best)


def test_the_last_look_is_at_the_cap() -> None:
    assert next_look(np.array([3, 3, 4]), have=0, looks=1, cap=CAP) == CAP
    assert next_look(np.array([3, 3, 3]), have=0, looks=2, cap=CAP) == 3
    assert next_look(np.array([CAP]), have=CAP - 1, looks=3, cap=CAP) == CAP


def looks(most: int = 4) -> Looks:
    return Looks(PLAN, most, 0.0, np.random.default_rng(0))


def test_a_plan_that_takes_all_draws_has_one_look() -> None:
    cohen = CohenPlan(noise=Gaussian(0.5), num_selection=5, num_estimation=23, alpha=0.05)
    fixed = Looks(cohen, 4, 0.0, np.random.default_rng(0))
    assert fixed.fixed
    assert fixed.first() == 23
    assert not looks().fixed


def test_images_that_are_clear_are_looked_at_earlier() -> None:
    clear, dim = looks().first([(20, 20)] * 50), looks().first([(15, 20)] * 50)
    assert 0 < clear < dim < PLAN.max_estimation


def asked(most: int, rate: float, trials: int = 40) -> float:
    """Mean draws that are asked about."""
    plan, generator, found = InLooks(looks(most), ((int(20 * rate), 20),)), np.random.default_rng(1), []
    for _ in range(trials):
        judge, until, seen = plan.judge(Selection(selected=0, votes=int(20 * rate), total_variation=0.0)), 0, 0
        hits = generator.random(PLAN.max_estimation) < rate
        while not judge.finished:
            seen += 1
            until = judge.until
            judge.see(hits[judge.draws : until])
        assert seen <= most
        assert judge.outcome(Counter({0: int(hits[: judge.draws].sum())})).decisions
        found.append(until)
    return float(np.mean(found))


def test_more_looks_take_fewer_draws_and_none_fewer_than_the_judge_alone() -> None:
    alone, generator = [], np.random.default_rng(1)
    for _ in range(40):
        judge = PLAN.judge(Selection(selected=0, votes=18, total_variation=0.0))
        judge.see(generator.random(PLAN.max_estimation) < 0.9)
        alone.append(judge.draws)
    one, two, four = (asked(most, 0.9) for most in (1, 2, 4))
    assert one == PLAN.max_estimation
    assert one > two > four > np.mean(alone)
