import math

import numpy as np
import pytest
from scipy.stats import binom

from bbsmooth.certification import Certificate, ClopperPearson, Evidence
from bbsmooth.certification.bounds.vote_bounds import VOTE_BOUNDS, Bounds, Randomised
from bbsmooth.certification.verdict import bounded
from bbsmooth.noise import DISTRIBUTIONS, Gaussian, NoiseDistribution

ALPHA = 0.05
NAMES = pytest.mark.parametrize("name", VOTE_BOUNDS)


def radius(found: Bounds, noise: NoiseDistribution) -> float:
    """Of the certificate that follows, 0 where none does."""
    evidence = Evidence(
        selected=0,
        counts={},
        p_lower=found.p_lower,
        alpha=ALPHA,
        num_selection=1,
        num_estimation=1,
        total_variation=0.0,
        details=found.details,
    )
    verdict = bounded(evidence, noise)
    return verdict.radius if isinstance(verdict, Certificate) else 0.0


@NAMES
@pytest.mark.parametrize("p", [0.3, 0.55, 0.9, 0.99])
def test_the_lower_bound_is_too_high_with_probability_at_most_alpha(name: str, p: float) -> None:
    trials, uniforms = 40, (np.arange(100) + 0.5) / 100 if name == "randomised" else [0.5]
    wrong = [
        np.mean(
            [
                VOTE_BOUNDS[name].bounds(0, {0: hits, 1: trials - hits}, alpha=ALPHA, uniform=float(uniform)).p_lower
                > p
                for uniform in uniforms
            ]
        )
        for hits in range(trials + 1)
    ]
    assert binom.pmf(np.arange(trials + 1), trials, p) @ wrong <= ALPHA + 0.005 * (name == "randomised")


@NAMES
def test_a_class_without_a_vote_has_no_lower_bound(name: str) -> None:
    found = VOTE_BOUNDS[name].bounds(2, {0: 3, 1: 7}, alpha=ALPHA, uniform=0.5)
    assert found.p_lower == pytest.approx(0, abs=0.01)
    assert radius(found, Gaussian(0.5)) == 0


@NAMES
def test_no_bound_is_higher_than_the_largest(name: str) -> None:
    bound = VOTE_BOUNDS[name]
    found = [bound.bounds(0, {0: 30}, alpha=ALPHA, uniform=uniform).p_lower for uniform in (1e-12, 0.05, 0.9)]
    assert max(found) == pytest.approx(bound.largest(30, alpha=ALPHA))
    assert bound.bounds(0, {0: 29, 1: 1}, alpha=ALPHA, uniform=1e-12).p_lower < bound.largest(30, alpha=ALPHA)


def test_what_each_bound_proves() -> None:
    counts = {0: 700, 1: 100, 2: 100, 3: 100}
    found = {
        name: radius(bound.bounds(0, counts, alpha=0.001, uniform=0.5), Gaussian(0.5))
        for name, bound in VOTE_BOUNDS.items()
    }
    assert found["clopper-pearson"] == Gaussian(0.5).radius(ClopperPearson().lower(700, 1_000, alpha=0.001))
    assert found["clopper-pearson"] < found["randomised"] < found["two-class"]


def test_two_classes_certify_a_class_without_a_majority() -> None:
    counts = {0: 450, 1: 150, 2: 200, 3: 200}
    assert radius(VOTE_BOUNDS["two-class"].bounds(0, counts, alpha=0.001, uniform=0.5), Gaussian(0.5)) > 0.1


def test_a_lucky_number_proves_no_absurd_radius() -> None:
    lucky = Randomised().bounds(0, {0: 1_000}, alpha=0.001, uniform=1e-15)
    assert lucky.p_lower < 1 - 0.001
    assert lucky.uniform == 1e-15


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.3, 0.9, 0.999])
def test_no_number_proves_a_rate_of_1(alpha: float) -> None:
    """Else the radius would be infinite, and with it the largest one, of which the interval of the ACR is made."""
    found = [Randomised().bounds(0, {0: trials}, alpha=alpha, uniform=1e-15).p_lower for trials in (1, 1_000)]
    assert found[1] == Randomised().largest(1_000, alpha=alpha) < 1
    assert found[0] <= found[1]
    assert math.isfinite(Gaussian(0.5).radius(found[1]))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_correction_for_the_generator_never_helps(name: str) -> None:
    noise = DISTRIBUTIONS[name](0.5)
    for found in (
        Bounds(p_lower=0.7),
        Bounds(p_lower=0.45, p_upper=0.2),
        Bounds(p_lower=0.7, p_upper=0.3, uniform=0.1),
    ):
        corrected = found.corrected(0.01)
        assert corrected.p_lower == pytest.approx(found.p_lower - 0.01)
        assert corrected.uniform == found.uniform
        assert 0 < radius(corrected, noise) < radius(found, noise)


def test_corrected_bounds_stay_probabilities() -> None:
    assert Bounds(p_lower=0.1, p_upper=0.9).corrected(0.2) == Bounds(p_lower=0.0, p_upper=1.0)


def test_not_a_number_proves_nothing() -> None:
    assert radius(Bounds(p_lower=math.nan), Gaussian(0.5)) == 0
    assert radius(Bounds(p_lower=math.nan, p_upper=0.1), Gaussian(0.5)) == 0
