"""The paired test and its interval: one procedure, held against enumeration of all outcomes and published values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multinomial

from bbsmooth.reporting.paired import compare, exact_interval, one_sided, score


def outcomes(images: int) -> list[tuple[int, int]]:
    return [(first, second) for first in range(images + 1) for second in range(images - first + 1)]


def weights(images: int, p: tuple[float, float]) -> NDArray[np.float64]:
    """The probability of each of `outcomes`."""
    counts = [(first, second, images - first - second) for first, second in outcomes(images)]
    found: NDArray[np.float64] = multinomial.pmf(counts, images, [*p, max(0.0, 1 - sum(p))])
    return found


@pytest.mark.parametrize(("images", "confidence"), [(8, 0.95), (15, 0.95), (12, 0.8)])
def test_interval_and_test_never_disagree(images: int, confidence: float) -> None:
    for first, second in outcomes(images):
        low, high, p_value = exact_interval(first, second, images, confidence=confidence)
        assert -1 <= low <= (first - second) / images <= high <= 1
        assert (low <= 0 <= high) is (p_value > 1 - confidence)


def test_five_against_none_of_thirty() -> None:
    low, high, p_value = exact_interval(5, 0, 30, confidence=0.95)
    assert (low > 0) is (p_value <= 0.05)
    assert high < 0.36


@pytest.mark.parametrize("delta", [-0.6, -0.2, 0.0, 0.1, 0.45])
def test_the_p_value_is_the_largest_over_the_nuisance(delta: float) -> None:
    images = 9
    table = np.array(outcomes(images))
    scores = score(table[:, 0], table[:, 1], images, delta)
    shares = np.linspace(max(abs(delta), 1e-9), 1, 801)
    for place in range(0, len(table), 7):
        extreme = scores >= scores[place] - 1e-9
        largest = max(weights(images, ((t + delta) / 2, max(0.0, (t - delta) / 2)))[extreme].sum() for t in shares)
        found = one_sided(int(table[place, 0]), int(table[place, 1]), images, delta)
        assert largest - 1e-6 <= found <= largest + 1e-4


@pytest.mark.parametrize("p", [(0.1, 0.1), (0.3, 0.1), (0.05, 0.01), (0.5, 0.3), (0.02, 0.02), (0.9, 0.0), (0.0, 0.3)])
def test_the_interval_covers(p: tuple[float, float]) -> None:
    images = 14
    found = [exact_interval(*outcome, images, confidence=0.95) for outcome in outcomes(images)]
    covered = np.array([low - 1e-12 <= p[0] - p[1] <= high + 1e-12 for low, high, _ in found])
    assert weights(images, p)[covered].sum() >= 0.95


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.7, 1.0])
def test_the_test_keeps_its_level(share: float) -> None:
    images = 14
    rejected = [exact_interval(*outcome, images, confidence=0.95)[2] <= 0.05 for outcome in outcomes(images)]
    assert weights(images, (share / 2, share / 2))[rejected].sum() <= 0.05


def test_it_lies_around_the_score_interval_that_it_makes_exact() -> None:
    # Fagerland, Lydersen, Laake, BMC Medical Research Methodology 13:91 (2013): 1 and 7 of 21 pairs differ.
    low, high, p_value = exact_interval(1, 7, 21, confidence=0.95)
    assert (low, high) == pytest.approx((-0.517, -0.026), abs=0.03)
    assert 0.03 < p_value < 0.04


def test_swapped_runs_mirror_the_interval() -> None:
    low, high, p_value = exact_interval(9, 2, 50, confidence=0.9)
    assert exact_interval(2, 9, 50, confidence=0.9) == pytest.approx((-high, -low, p_value))


def test_ten_thousand_images() -> None:
    low, high, p_value = exact_interval(500, 300, 10_000, confidence=0.95)
    assert (low, high) == pytest.approx((0.0145, 0.0255), abs=5e-4)  # Wald: 0.02 -+ 1.96 sqrt(0.0796) / 100
    assert p_value < 1e-9


def test_by_hand() -> None:
    found = compare([True] * 12 + [False] * 8, [True] * 2 + [False] * 18, confidence=0.95)
    assert (found.images, found.only_first, found.only_second, found.difference) == (20, 10, 0, 0.5)
    assert found.low > 0
    assert found.p_value < 0.01
    assert compare([True], [True], confidence=0.95).p_value == 1.0


def test_unequal_images_are_refused() -> None:
    for first, second in ([], []), ([True], [True, False]):
        with pytest.raises(ValueError, match="needs the same images"):
            compare(first, second, confidence=0.95)
