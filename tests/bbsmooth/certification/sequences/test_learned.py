import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bbsmooth.certification.sequences import (
    DEFAULT_TEST,
    TESTS,
    FromSelection,
    LearnedPrior,
    OneSidedTest,
    certifying,
    never,
    refuting,
    stopping,
)
from bbsmooth.certification.sequences.solving import first_successes

PRIORS = [
    LearnedPrior.flat(),
    LearnedPrior.flat().after(100, 100),
    LearnedPrior.flat().after(60, 100),
    LearnedPrior.flat().after(97, 100).mirrored(),
    LearnedPrior.learn([(990, 1_000)] * 5, hedge=0.01),
]


@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: prior.name)
@pytest.mark.parametrize("p_null", [0.02, 0.5, 0.84, 0.999])
def test_planes_find_the_boundary_and_never_reject_too_early(prior: LearnedPrior, p_null: float) -> None:
    cap = 1_500

    def wealth(successes: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
        return prior.log_wealth(successes, trials, p_null)

    found = prior.boundary(p_null, alpha=0.001, cap=cap)
    exact = first_successes(wealth, math.log(1_000), lowest=np.zeros(cap + 1, dtype=np.int64), highest=never(cap))
    assert (found >= exact).all()
    assert (found > exact).mean() < 0.02
    assert (found - exact).max() <= 1


def test_a_null_beyond_every_point_is_never_rejected() -> None:
    boundary = LearnedPrior.flat().boundary(1 - 1e-9, alpha=0.001, cap=50)
    np.testing.assert_array_equal(boundary, never(50))


def test_a_level_whose_inverse_is_no_float_is_kept() -> None:
    """Else the boundary would be no number, and the first vote a certificate."""
    alpha, cap, prior = 1e-320, 2_000, LearnedPrior.flat()
    boundary, trials = prior.boundary(0.5, alpha=alpha, cap=cap), np.arange(cap + 1)
    reached = boundary <= trials
    assert 0 < reached.mean() < 0.5
    assert (prior.log_wealth(boundary[reached], trials[reached], 0.5) >= -math.log(alpha)).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_a_number_rejects_nothing() -> None:
    np.testing.assert_array_equal(LearnedPrior.flat().boundary(5e-324, alpha=0.001, cap=50), never(50))


def test_names_tell_weights_apart() -> None:
    names = {prior.name for prior in PRIORS}
    assert len(names) == len(PRIORS)
    assert LearnedPrior.flat().name == "flat-prior(0.1)"
    assert LearnedPrior.flat().after(3, 7).name == LearnedPrior.flat().after(3, 7).name


def test_every_named_test_is_found_by_its_name() -> None:
    for name, test in TESTS.items():
        assert test.name == name
        assert isinstance(test, FromSelection) or isinstance(test.mirrored().name, str)
    assert DEFAULT_TEST in TESTS.values()


def test_the_default_needs_the_fewest_draws_of_those_that_know_nothing_beforehand() -> None:
    def mean(test: OneSidedTest, p_radius: float, p: float) -> float:
        if p < p_radius:
            return stopping(p, lower=refuting(test, p_radius, beta=0.001, cap=4_000)).mean
        return stopping(p, upper=certifying(test, p_radius, alpha=0.001, cap=4_000)).mean

    assert isinstance(DEFAULT_TEST, FromSelection)
    for p_radius, p in [(0.6, 0.5), (0.6, 0.7), (0.8, 0.9), (0.9, 0.99)]:
        after = DEFAULT_TEST.given(round(100 * p), 100)
        others = [test for test in TESTS.values() if not isinstance(test, FromSelection)]
        assert mean(after, p_radius, p) < min(mean(test, p_radius, p) for test in others)
