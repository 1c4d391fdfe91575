import numpy as np
import pytest

from bbsmooth.certification.allocation import (
    Policy,
    Standing,
    bonferroni,
    cheapest_first,
    holm,
    in_turn,
    ranking,
    uniform,
)
from bbsmooth.certification.decisions import Watch, boundaries
from bbsmooth.certification.sequences import Calibrated

NEEDS = (0.6, 0.8)
RULES = boundaries(Calibrated(), NEEDS, margin=0.0, alpha=0.001, beta=0.001, cap=5_000)


def standing(successes: int, trials: int, *, order: int = 0, need: tuple[float, ...] = (0.8,)) -> Standing:
    return Standing(successes=successes, trials=trials, probabilities=need, cap=10_000, order=order)


def test_the_clearest_image_is_served_first_and_the_doubtful_one_last() -> None:
    standings = [standing(80, 100, order=0), standing(99, 100, order=1), standing(87, 100, order=2)]
    assert ranking(standings, cheapest_first(0.001)) == [1, 2, 0]


def test_what_was_spent_makes_an_image_cheaper_to_finish() -> None:
    index = cheapest_first(0.001)
    assert index(standing(180, 200)) < index(standing(90, 100))


def test_the_dearest_open_radius_counts() -> None:
    index = cheapest_first(0.001)
    assert index(standing(90, 100, need=(0.6, 0.89))) == index(standing(90, 100, need=(0.89,)))
    assert index(standing(90, 100, need=())) == 0


def test_the_alternatives_are_fair_in_their_own_ways() -> None:
    standings = [standing(5, 10, order=0), standing(5, 5, order=1), standing(0, 7, order=2)]
    assert ranking(standings, uniform()) == [1, 2, 0]
    assert ranking(standings, in_turn()) == [0, 1, 2]


def spend(policy: Policy, hits: np.ndarray, budget: int, *, piece: int = 20) -> int:
    """Images decided with `budget` draws, handed out in pieces."""
    watches = [Watch(RULES) for _ in hits]
    while budget >= piece:
        open_ = [number for number, watch in enumerate(watches) if not watch.finished]
        standings = [
            Standing(
                successes=watches[number].successes,
                trials=watches[number].draws,
                probabilities=NEEDS,
                cap=RULES.cap - watches[number].draws,
                order=number,
            )
            for number in open_
        ]
        number = open_[ranking(standings, policy)[0]]
        watches[number].see(hits[number, watches[number].draws :][:piece])
        budget -= piece
    return sum(watch.finished for watch in watches)


def test_with_a_tenth_of_what_all_images_need_the_index_decides_far_more_than_its_alternatives() -> None:
    rates = np.concatenate([np.linspace(0.5, 1.0, 20), np.linspace(0.78, 0.82, 8), np.linspace(0.58, 0.62, 8)])
    hits = np.random.default_rng(1).random((len(rates), RULES.cap)) < rates[:, None]
    needs = []
    for row in hits:
        watch = Watch(RULES)
        watch.see(row)
        needs.append(watch.draws)
    budget = sum(needs) // 10
    with_hindsight = int((np.cumsum(sorted(needs)) <= budget).sum())
    index = spend(cheapest_first(0.001), hits, budget)
    assert index >= 0.6 * with_hindsight
    assert index >= 1.4 * spend(uniform(), hits, budget)
    assert index >= 2 * spend(in_turn(), hits, budget)


def test_bonferroni_splits_the_level() -> None:
    assert bonferroni(0.05, 100) == pytest.approx(0.0005)


def test_holm_goes_on_with_what_is_left_until_one_fails() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]
    assert holm([0.01, 0.02, 0.015], 0.05) == [True, True, True]
    assert holm([0.5, float("nan")], 0.05) == [False, False]
    assert holm([], 0.05) == []


def test_holm_errs_in_any_image_no_more_often_than_it_says() -> None:
    generator = np.random.default_rng(2)
    wrong = [any(holm([*generator.random(10), 1e-9, 1e-6], 0.1)[:10]) for _ in range(4_000)]
    assert np.mean(wrong) <= 0.1 + 4 * (0.1 / 4_000) ** 0.5
