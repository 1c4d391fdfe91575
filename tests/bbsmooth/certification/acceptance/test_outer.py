"""The boundary over images: its error is what an independent computation says, and at most the level."""

from __future__ import annotations

import math
from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbsmooth.certification.acceptance.outer import Null, boundary, crossing, expected_images, successes_left
from bbsmooth.certification.sequences.protocol import Boundary

LEVEL = 0.05


def least_favourable(size: int, share: float, leak: float) -> Null:
    return Null(size, math.ceil(share * size - 1e-9) - 1, leak)


def by_tickets(null: Null, upper: Boundary) -> float:
    """The same, forwards, for each number of winning tickets apart."""
    assert null.size is not None
    total = 0.0
    for winning, weight in zip(*null.tickets(), strict=True):
        mass, reached = np.zeros(len(upper) + 1), 0.0
        mass[0] = 1.0
        for trials in range(len(upper) - 1):
            chance = ((winning - np.arange(len(mass))) / (null.size - trials)).clip(0, 1)
            mass, won = mass * (1 - chance), mass * chance
            mass[1:] += won[:-1]
            reached += mass[upper[trials + 1] :].sum()
            mass[upper[trials + 1] :] = 0
        total += math.exp(weight) * reached
    return total


def by_hand(good: int, bad: int, leak: float, upper: Boundary) -> float:
    """Every order of the images and every outcome of the bad ones."""
    total, orders = 0.0, list(permutations([True] * good + [False] * bad))
    for lucky in product([True, False], repeat=bad):
        chance = math.prod(leak if each else 1 - leak for each in lucky)
        for order in orders:
            luck, won, reached = iter(lucky), 0, False
            for trials, is_good in enumerate(order[: len(upper) - 1], 1):
                won += is_good or next(luck)
                reached |= won >= upper[trials]
            total += chance * reached / len(orders)
    return total


def test_the_error_is_that_of_every_order_and_outcome() -> None:
    upper = np.array([1, 2, 2, 3, 3, 4])
    assert crossing(Null(6, 2, 0.3), upper) == pytest.approx(by_hand(2, 4, 0.3, upper), rel=1e-7)


@pytest.mark.parametrize(
    ("size", "share", "leak", "cap"),
    [(10, 0.5, 0.2, 10), (20, 0.8, 0.1, 20), (100, 0.8, 0.1, 100), (100, 0.95, 0.0, 60), (300, 0.9, 0.02, 150)],
)
def test_the_exact_error_is_at_most_the_level(size: int, share: float, leak: float, cap: int) -> None:
    null = least_favourable(size, share, leak)
    upper = boundary(null, level=LEVEL, cap=cap)
    assert by_tickets(null, upper) == pytest.approx(crossing(null, upper), rel=1e-6)
    assert crossing(null, upper) <= LEVEL
    assert successes_left(upper, 0, 0) is not None


def test_independent_trials_are_a_binomial_walk() -> None:
    null = Null(None, 0.8, 0.1)
    upper = boundary(null, level=LEVEL, cap=400)
    assert null.rate == pytest.approx(0.82)
    assert expected_images(0.82, upper)[0] == pytest.approx(crossing(null, upper), rel=1e-6)
    assert 0.9 * LEVEL < crossing(null, upper) <= LEVEL


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(2, 60),
    share=st.sampled_from([0.1, 0.5, 0.8, 0.9]),
    leak=st.sampled_from([0.0, 0.05, 0.3]),
    level=st.sampled_from([0.2, 0.05, 0.01]),
)
def test_no_false_claim_is_shown_more_often_than_the_level(size: int, share: float, leak: float, level: float) -> None:
    null = least_favourable(size, share, leak)
    upper = boundary(null, level=level, cap=size)
    assert by_tickets(null, upper) <= level
    for good in range(int(null.base)):  # with fewer good images, or a smaller leak, less often
        assert crossing(Null(size, good, leak), upper) <= crossing(null, upper) * (1 + 1e-9)
    assert crossing(Null(size, null.base, leak / 2), upper) <= crossing(null, upper) * (1 + 1e-9)


@pytest.mark.parametrize("size", [None, 80])
def test_smaller_levels_have_higher_boundaries(size: int | None) -> None:
    null = Null(None, 0.7, 0.1) if size is None else least_favourable(size, 0.7, 0.1)
    found = [boundary(null, level=LEVEL / share, cap=80) for share in (1, 1.02, 2, 3, 10)]
    assert all((one <= other).all() for one, other in pairwise(found))


def test_a_census_answers_for_sure() -> None:
    """Without leaks, when all images are seen the number of good ones is known: one too few is never shown."""
    upper = boundary(Null(10, 7, 0.0), level=LEVEL, cap=10)
    assert upper[10] == 8
    assert crossing(Null(10, 7, 0.0), upper) <= LEVEL


def test_what_no_outcome_could_show_is_never_reached() -> None:
    upper = boundary(Null(None, 0.9, 0.1), level=0.01, cap=5)
    assert successes_left(upper, 0, 0) is None


def test_the_fewest_further_images() -> None:
    upper = np.array([1, 2, 3, 3, 4, 4])
    assert successes_left(upper, 0, 0) == 3
    assert successes_left(upper, 1, 0) == 4  # one failure: 4 of 5
    assert successes_left(upper, 2, 0) is None


def test_costs_close_to_the_lower_bound() -> None:
    """Wald: at least log(1 / level) / KL images on average where the claim is always shown."""
    upper = boundary(Null(None, 0.8, 0.0), level=LEVEL, cap=1000)
    shown, images = expected_images(0.9, upper)
    least = math.log(1 / LEVEL) / (0.9 * math.log(0.9 / 0.8) + 0.1 * math.log(0.1 / 0.2))
    assert shown > 0.999
    assert least < images < 1.2 * least


@pytest.mark.parametrize("wrong", [{"level": 0.0, "cap": 5}, {"level": 0.05, "cap": 11}, {"level": 0.05, "cap": 0}])
def test_what_is_no_test_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must lie between"):
        boundary(Null(10, 5, 0.1), level=wrong["level"], cap=int(wrong["cap"]))
