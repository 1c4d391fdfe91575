"""Plans under which nothing can be proven, and the fewest draws that could: against closed forms and real verdicts."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from bbsmooth.certification import (
    VOTE_BOUNDS,
    AdaptivePlan,
    Certificate,
    CohenPlan,
    PredictPlan,
    SequentialPlan,
    can_prove,
    fewest_draws,
    unreachable_radii,
    usual_radii,
)
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.certification.protocols import Plan, Selection
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.noise import Gaussian, Laplace, NoiseDistribution, Uniform

NOISES: list[NoiseDistribution] = [Gaussian(0.5), Laplace(0.5), Uniform(0.5)]


def _with(plan: Plan, draws: int) -> Any:
    return replace(cast("Any", plan), **{"num_estimation" if plan.name == "cohen" else "max_estimation": draws})


def all_agree(plan: Plan, uniform: float = 1.0) -> bool:
    """Whether the verdict on an image is a certificate if every vote is for its class."""
    judge = plan.judge(Selection(selected=0, votes=plan.num_selection, total_variation=0.0, uniform=uniform))
    while not judge.finished:
        judge.see(np.ones(plan.max_estimation - judge.draws, dtype=bool))
    return isinstance(judge.outcome(Counter({0: judge.draws})).verdict, Certificate)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
@pytest.mark.parametrize("alpha", [0.05, 0.001, 1e-5])
def test_cohens_fewest_draws_are_where_all_votes_prove_more_than_a_half(noise: NoiseDistribution, alpha: float) -> None:
    plan = CohenPlan(noise=noise, num_selection=20, num_estimation=1, alpha=alpha)
    assert fewest_draws(plan) == math.floor(math.log2(1 / alpha)) + 1
    assert fewest_draws(replace(plan, bound=VOTE_BOUNDS["two-class"])) == math.floor(math.log2(2 / alpha)) + 1


PLANS: list[CohenPlan | SequentialPlan | AdaptivePlan] = [
    *(
        CohenPlan(noise=Gaussian(0.5), num_selection=20, num_estimation=1, alpha=0.001, bound=bound)
        for bound in VOTE_BOUNDS.values()
    ),
    *(
        SequentialPlan(
            noise=noise, num_selection=n0, max_estimation=1, alpha=0.001, beta=0.01, radii=radii, test=DEFAULT_TEST
        )
        for noise in NOISES
        for n0 in (2, 100)
        for radii in ((0.0,), (0.25, 0.5))
    ),
    *(
        AdaptivePlan(noise=Gaussian(0.5), num_selection=n0, max_estimation=1, alpha=0.01, beta=0.01, tolerance=0.02)
        for n0 in (5, 100)
    ),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.name} {plan.noise.name}")
def test_one_draw_fewer_certifies_nothing_and_the_fewest_do(plan: CohenPlan | SequentialPlan | AdaptivePlan) -> None:
    least = fewest_draws(plan)
    assert least is not None
    enough, short = _with(plan, least), _with(plan, least - 1)
    luck = 0.05  # the number that helps the randomised bound most
    assert can_prove(enough)
    assert all_agree(enough, luck)
    assert not can_prove(short)
    assert not all_agree(short, luck)


def test_radii_that_a_cap_can_only_refute_are_those_with_too_high_a_probability() -> None:
    """At sigma 0.25 a radius of 0.5 needs p > Phi(2): 0.977^n must fall to alpha, which 300 draws just miss."""
    plan = SequentialPlan(
        noise=Gaussian(0.25),
        num_selection=100,
        max_estimation=300,
        alpha=0.001,
        beta=0.01,
        radii=(0.0, 0.25, 0.5),
        test=DEFAULT_TEST,
    )
    assert norm.cdf(0.5 / 0.25) > 0.001 ** (1 / 300)
    assert unreachable_radii(plan) == (0.5,)
    assert unreachable_radii(replace(plan, max_estimation=1_000)) == ()
    assert unreachable_radii(CohenPlan(noise=Gaussian(0.25), num_selection=1, num_estimation=1, alpha=0.001)) == ()


def test_a_radius_beyond_every_prior_is_never_proven() -> None:
    plan = SequentialPlan(
        noise=Gaussian(0.5),
        num_selection=100,
        max_estimation=500,
        alpha=0.001,
        beta=0.01,
        radii=(5.0,),
        test=DEFAULT_TEST,
    )
    assert not can_prove(plan)


@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_the_fewest_votes_of_a_prediction_are_those_of_the_exact_test(alpha: float) -> None:
    least = fewest_draws(PredictPlan(num_draws=1, alpha=alpha))
    assert least is not None
    assert binomtest(least, least).pvalue <= alpha < binomtest(least - 1, least - 1).pvalue


def test_few_draws_of_a_changed_classifier_prove_nothing() -> None:
    plan = IncrementalPlan(
        noise=Gaussian(0.5), num_estimation=4, alpha=0.001, earlier_selection=100, earlier_estimation=1_000
    )
    assert not can_prove(plan)
    least = fewest_draws(plan)
    assert least is not None
    assert least == math.floor(math.log2(1 / 0.001)) + 1


@pytest.mark.parametrize(
    ("largest", "radii"),
    [
        (1.6, (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5)),
        (0.8, (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)),
        (0.6, (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        (88 / 510, (0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15)),
        (0.0, (0,)),
        (-1.0, (0,)),
    ],
)
def test_usual_radii_go_in_round_steps_to_what_can_be_proven(largest: float, radii: tuple[float, ...]) -> None:
    assert usual_radii(largest) == radii


def test_usual_radii_are_some_and_none_is_out_of_reach() -> None:
    exact = [part * 10.0**power for part in (0.5, 1, 2.5, 5, 7) for power in range(-9, 10)]
    for largest in [each for one in exact for each in (one, math.nextafter(one, 0), math.nextafter(one, math.inf))]:
        radii = usual_radii(largest)
        assert radii[0] == 0
        assert list(radii) == sorted(set(radii))
        assert largest * 0.79 < radii[-1] <= largest
        assert 5 <= len(radii) <= 11
