"""The paired test and its interval against published values and against exact enumeration."""

from __future__ import annotations

import pytest
from scipy.stats import multinomial, norm

from bbsmooth.reporting.paired import compare, score_interval


def test_published_example() -> None:
    # Fagerland, Lydersen, Laake, BMC Medical Research Methodology 13:91 (2013): 1 and 7 of 21 pairs differ.
    low, high = score_interval(1, 7, 21, confidence=0.95)
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)


def test_no_difference_has_a_closed_form() -> None:
    z2 = norm.ppf(0.975) ** 2
    assert score_interval(0, 0, 40, confidence=0.95) == pytest.approx((-z2 / (40 + z2), z2 / (40 + z2)))


def test_swapped_runs_mirror_the_interval() -> None:
    low, high = score_interval(9, 2, 50, confidence=0.9)
    assert score_interval(2, 9, 50, confidence=0.9) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("only_first", "only_second"), [(30, 0), (0, 30), (29, 1)])
def test_extremes_stay_between_minus_one_and_one(only_first: int, only_second: int) -> None:
    low, high = score_interval(only_first, only_second, 30, confidence=0.95)
    assert -1 <= low < (only_first - only_second) / 30 or low == -1
    assert low < high <= 1


@pytest.mark.parametrize("p", [(0.1, 0.1), (0.3, 0.1), (0.05, 0.01), (0.5, 0.3), (0.02, 0.02)])
def test_the_interval_covers(p: tuple[float, float]) -> None:
    n, covered = 25, 0.0
    for first in range(n + 1):
        for second in range(n - first + 1):
            weight = multinomial.pmf([first, second, n - first - second], n, [*p, 1 - sum(p)])
            if weight > 1e-9:
                low, high = score_interval(first, second, n, confidence=0.95)
                covered += weight * (low <= p[0] - p[1] <= high)
    assert covered > 0.93  # nominal 0.95; the score interval is not exact, Wald's falls below 0.9 here


def test_the_test_keeps_its_level() -> None:
    n, wrong = 25, 0.0
    for first in range(n + 1):
        for second in range(n - first + 1):
            found = compare(
                [True] * first + [False] * (n - first),
                [False] * first + [True] * second + [False] * (n - first - second),
                confidence=0.95,
            )
            if found.p_value <= 0.05:
                wrong += multinomial.pmf([first, second, n - first - second], n, [0.2, 0.2, 0.6])
    assert 0 < wrong <= 0.05


def test_by_hand() -> None:
    found = compare([True] * 12 + [False] * 8, [True] * 2 + [False] * 18, confidence=0.95)
    assert (found.images, found.only_first, found.only_second, found.difference) == (20, 10, 0, 0.5)
    assert found.p_value == pytest.approx(2 / 2**10)
    assert compare([True], [True], confidence=0.95).p_value == 1.0


def test_unequal_images_are_refused() -> None:
    for first, second in ([], []), ([True], [True, False]):
        with pytest.raises(ValueError, match="needs the same images"):
            compare(first, second, confidence=0.95)
