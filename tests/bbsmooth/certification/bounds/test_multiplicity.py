import numpy as np
import pytest
from scipy.stats import binom

from bbsmooth.certification import bonferroni, holm
from bbsmooth.certification.bounds.multiplicity import p_value


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


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (7, 10), (10, 10), (830, 1_000)])
def test_a_p_value_is_the_binomial_tail(successes: int, trials: int) -> None:
    for p_null in (0.5, 0.8, 1.0):
        assert p_value(successes, trials, p_null) == pytest.approx(float(binom.sf(successes - 1, trials, p_null)))
