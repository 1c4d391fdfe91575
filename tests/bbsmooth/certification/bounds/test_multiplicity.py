import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from bbsmooth.certification import FalseDiscovery, bonferroni, holm
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


def test_a_p_value_that_is_too_small_to_be_found_is_not_said_to_be_0() -> None:
    assert 3.5854163177958576e-263 < p_value(15_711, 15_744, 0.9555561846900444) < 1e-100


def test_false_discovery_needs_certificates_by_the_decimals_of_its_levels() -> None:
    assert FalseDiscovery(0.05, 0.001).needed(1_000) == 20
    assert FalseDiscovery(0.05, 0.001).needed(1_001) == 21
    assert FalseDiscovery(0.1, 0.001).needed(3) == 1
    assert FalseDiscovery(0.3, 0.1).needed(3) == 1
    assert FalseDiscovery(0.05, 0.05).needed(16) == 16


@pytest.mark.parametrize("true", [0, 1, 2, 3])
def test_the_expected_share_of_wrong_ones_is_bounded_whatever_is_wrong(true: int) -> None:
    images, alpha = 5, 0.1
    chances = [0.7] * true + [alpha] * (images - true)  # of being certified; the last ones wrongly
    for rate in (0.1, 0.2, 0.5):
        expected = 0.0
        for certified in product((False, True), repeat=images):
            chance = math.prod(p if said else 1 - p for p, said in zip(chances, certified, strict=True))
            if sum(certified) >= FalseDiscovery(rate, alpha).needed(images):
                expected += chance * sum(certified[true:]) / max(1, sum(certified))
        assert 0 < expected <= rate


def test_next_to_the_plane_issued_certificates_are_no_longer_all_wrong() -> None:
    generator, images, alpha, rate, draws, p_null = np.random.default_rng(1), 100, 0.05, 0.2, 200, 0.8
    least = next(count for count in range(draws + 1) if p_value(count, draws, p_null) <= alpha)
    near = generator.binomial(draws, p_null - 1e-6, (2_000, images)) >= least  # each certificate is wrong
    share_alone = np.mean(near.any(axis=1))
    together = near.sum(axis=1) >= FalseDiscovery(rate, alpha).needed(images)
    assert share_alone > 0.95
    assert np.mean(together) <= rate
    mixed = np.concatenate([near[:, :60], generator.binomial(draws, 0.95, (2_000, 40)) >= least], axis=1)
    issued = mixed.sum(axis=1) >= FalseDiscovery(rate, alpha).needed(images)
    assert issued.all()  # those that hold are issued
    assert np.mean(mixed[:, :60].sum(axis=1) / mixed.sum(axis=1)) <= rate
