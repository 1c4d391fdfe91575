"""Forecasts: simulated certifications are those that run, and intervals cover what happens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from bbsmooth.certification import CertifyingCase, CohenPlan, SequentialPlan, run_cases
from bbsmooth.certification.bounds.vote_bounds import VOTE_BOUNDS
from bbsmooth.certification.forecast import CONFIDENCE, Expectation, Floats, Way, forecast
from bbsmooth.certification.methods.pilot import Pilot
from bbsmooth.certification.population import MIDDLES, Population
from bbsmooth.certification.protocols import Plan, Selection
from bbsmooth.certification.sequences import DEFAULT_TEST, Calibrated, certifying, refuting, stopping
from bbsmooth.certification.simulation import simulate
from bbsmooth.noise import Gaussian
from oracles import Feedback, FunctionOracle, ResponseStore
from oracles.oracle import Classes
from tests.builders import pictures, vote_source

NOISE = Gaussian(0.5)
RADIUS = 0.5
COHEN = CohenPlan(noise=NOISE, num_selection=50, num_estimation=300, alpha=0.01)


def sequential(test: Calibrated | None = None) -> SequentialPlan:
    return SequentialPlan(
        noise=NOISE,
        num_selection=50,
        max_estimation=300,
        alpha=0.01,
        beta=0.01,
        radii=(RADIUS,),
        test=test or DEFAULT_TEST,
    )


def simulated(plan: Plan, rate: float, generator: np.random.Generator) -> tuple[int, float]:
    """Queries and radius, -1 for none, of an image with this rate."""
    selection = Selection(
        selected=0, votes=int(generator.binomial(plan.num_selection, rate)), total_variation=0.0, uniform=1.0
    )
    hits = generator.random(plan.max_estimation) < rate
    queries, outcome = simulate(plan, selection, hits, np.ones(1), generator)
    return queries, getattr(outcome.verdict, "radius", -1.0)


def foretold(
    plan: Plan, pilot: Pilot, images: int, *, radii: tuple[float, ...] = (RADIUS,), seed: int = 0
) -> Expectation:
    """The forecast of one way."""
    (found,) = forecast([Way(plan=plan, radii=radii)], pilot, images=images, total_variation=0.0, seed=seed)
    return found


def coin(rate: float) -> FunctionOracle:
    """Says 0 with this rate, by the bytes of the image, and 1 else."""

    def label(image: NDArray[np.float32]) -> int:
        return int(int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:7], "big") >= rate * 2**56)

    return FunctionOracle(
        lambda images: [label(image) for image in images],
        name="coin",
        fingerprint="00",
        classes=Classes.numbered(2),
        feedback=Feedback.LABELS,
    )


@pytest.mark.parametrize("rate", [0.6, 0.8, 0.95])
def test_a_simulated_certification_costs_what_a_real_one_does(rate: float, tmp_path: Path) -> None:
    plan, images = sequential(), pictures(40, seed=1)
    source = vote_source(coin(rate), ResponseStore(tmp_path), noise=NOISE)
    asked = 0

    def count(purpose: object, queries: int) -> None:
        nonlocal asked
        asked += queries

    outcomes = [
        case.outcome()
        for _, case, _ in run_cases(
            enumerate(images),
            lambda image: CertifyingCase(image, plan, source, source.log.spec.classes),
            source,
            batch_size=64,
            concurrency=1,
            remaining=lambda: None,
            progress=count,
        )
    ]
    generator = np.random.default_rng(0)
    tried = np.array([simulated(plan, rate, generator) for _ in range(400)])
    error = tried[:, 0].std() * (1 / len(images) + 1 / len(tried)) ** 0.5
    assert abs(asked / len(images) - tried[:, 0].mean()) < 4 * error
    proven = np.mean([getattr(outcome.verdict, "radius", -1) >= RADIUS for outcome in outcomes])
    assert abs(proven - (tried[:, 1] >= RADIUS).mean()) < 4 * (0.25 / len(images)) ** 0.5


@pytest.mark.parametrize("rate", [0.7, 0.84, 0.9])
def test_a_simulated_certification_ends_as_the_exact_computation_says(rate: float) -> None:
    plan = sequential(Calibrated())
    null = NOISE.probability(RADIUS)
    upper = certifying(Calibrated(), null, alpha=0.01, cap=300)
    exact = stopping(rate, upper=upper, lower=refuting(Calibrated(), null, beta=0.01, cap=300))
    hasty = stopping(rate, upper=upper, lower=plan.boundaries_given(0, total_variation=0.0).slim[0])  # gives up at once
    generator = np.random.default_rng(0)
    tried = np.array([simulated(plan, rate, generator) for _ in range(1000)])
    spent = tried[:, 0] - plan.num_selection
    assert spent.mean() > hasty.mean - 4 * spent.std() / len(spent) ** 0.5  # some are asked ahead
    assert spent.mean() < 1.25 * exact.mean
    tolerance = 4 * (0.25 / len(tried)) ** 0.5
    certified = (tried[:, 1] >= RADIUS).mean()
    assert hasty.certified.sum() - tolerance < certified < exact.certified.sum() + tolerance


def test_cohen_costs_the_same_whatever_the_images() -> None:
    found = foretold(COHEN, Pilot(votes=(50, 20, 45), draws=50), 40, radii=(0.0, RADIUS))
    assert found.queries.expected == found.queries.low == found.queries.high == 40 * 350
    for share in found.certified:
        assert 0 <= share.low < share.expected < share.high <= 1
    assert found.certified[0].expected > found.certified[1].expected


def test_images_without_an_answer_end_with_the_selection() -> None:
    found = foretold(COHEN, Pilot(votes=(50,) * 5, draws=50, unanswered=5), 40)
    assert 40 * 50 < found.queries.low < 40 * (50 + 150) < found.queries.high < 40 * 350
    assert found.certified[0].high < 0.9
    assert foretold(COHEN, Pilot(votes=(), draws=50, unanswered=3), 3).queries.high == 3 * 50


def test_the_same_seed_forecasts_the_same() -> None:
    def again(seed: int) -> Expectation:
        return foretold(COHEN, Pilot(votes=(50, 30), draws=50), 20, seed=seed)

    assert again(1) == again(1)
    assert again(1) != again(2)


def test_a_larger_pilot_knows_more() -> None:
    def width(votes: tuple[int, ...]) -> float:
        (share,) = foretold(COHEN, Pilot(votes=votes, draws=50), 200).certified
        return share.high - share.low

    assert width((48, 30) * 20) < 0.6 * width((48, 30) * 2)


def test_what_no_image_of_the_pilot_shows_is_not_ruled_out() -> None:
    """Of 20 easy images none is expensive; one in twenty of the rest may be, or none at all."""
    found = foretold(sequential(), Pilot(votes=(20,) * 20, draws=20), 100)
    easy = 100 * simulated(sequential(), 0.999, np.random.default_rng(0))[0]
    assert found.queries.low < 1.05 * easy
    assert found.queries.high > easy + 3 * 150
    assert found.certified[0].high == 1


def test_a_population_comes_near_the_rates_that_made_the_votes() -> None:
    generator = np.random.default_rng(0)
    truth = generator.beta(4, 2, 400)
    votes = tuple(generator.binomial(100, truth).tolist())
    draws = list(Population(Pilot(votes=votes, draws=100), (0.84,)).draws(50, generator))
    rates = ndtr(MIDDLES)
    own = np.array([rates[draw.pilot] for draw in draws])
    assert abs(own.mean(0) - truth).mean() < 0.05  # as far as 100 votes tell
    means = np.array([draw.shares @ rates for draw in draws])
    deviations = np.array([draw.shares @ rates**2 for draw in draws]) - means**2
    assert abs(means.mean() - truth.mean()) < 0.02
    assert abs(deviations.mean() ** 0.5 - truth.std()) < 0.02


def test_a_cap_saves_queries_and_loses_what_takes_more_draws() -> None:
    """On the same votes: half of the images lie where 300 draws often decide and 100 do not."""
    plan = sequential()
    caps = tuple(replace(plan, max_estimation=cap) for cap in (150, 75))
    ways = [Way(plan=plan, radii=(RADIUS,), smaller=caps)]
    (found,) = forecast(ways, Pilot(votes=(45, 50) * 10, draws=50), images=60, total_variation=0.0, seed=0)
    assert [cap.draws for cap in found.caps] == [150, 75]
    first, second = found.caps
    assert 0 < first.saved.expected < second.saved.expected
    assert 0 < first.lost.expected < second.lost.expected < 30
    assert second.uncertified[0].expected <= second.lost.expected + 1
    assert second.queries.expected < first.queries.expected < found.queries.expected


def test_a_runner_up_that_shares_the_rest_proves_more() -> None:
    plan = replace(COHEN, bound=VOTE_BOUNDS["two-class"])
    pilots = [
        Pilot(votes=(26,) * 10, draws=50, others=((24,),) * 10),
        Pilot(votes=(26,) * 10, draws=50, others=((4,) * 6,) * 10),
    ]
    one, many = (foretold(plan, pilot, 40, radii=(0.1,)).certified[0].expected for pilot in pilots)
    assert many > one + 0.3


def test_what_does_not_fit_is_refused() -> None:
    for pilot, images in ((Pilot(votes=(1, 2), draws=50), 1), (Pilot(votes=(1,), draws=51), 5)):
        with pytest.raises(ValueError, match="cannot be forecast"):
            foretold(COHEN, pilot, images)


@pytest.mark.slow
@pytest.mark.parametrize(
    "population",
    [
        lambda generator, images: generator.beta(5, 1, images),
        lambda generator, images: generator.beta(2, 0.3, images),
        lambda generator, images: ndtr(
            np.where(generator.random(images) < 0.05, 1.0, generator.normal(3, 0.3, images))
        ),
    ],
    ids=["mostly robust", "many near 1", "5 % next to the radius"],
)
def test_intervals_cover(population: Callable[[np.random.Generator, int], Floats]) -> None:
    """Of 40 cases 90 % hold, with at most 3.3 standard errors fewer; `experiments/plan` has more cases."""
    plan, images, repetitions = sequential(), 100, 40
    queries, certified = 0, 0
    for repetition in range(repetitions):
        generator = np.random.default_rng(repetition)
        rates = population(generator, images)
        truth = np.array([simulated(plan, rate, generator) for rate in rates])
        votes = tuple(generator.binomial(20, rates[:50]).tolist())
        found = foretold(plan, Pilot(votes=votes, draws=20), images, seed=repetition)
        queries += found.queries.low <= truth[:, 0].sum() <= found.queries.high
        certified += found.certified[0].low <= (truth[:, 1] >= RADIUS).mean() <= found.certified[0].high
    least = CONFIDENCE - 3.3 * (CONFIDENCE * (1 - CONFIDENCE) / repetitions) ** 0.5
    assert queries / repetitions >= least
    assert certified / repetitions >= least
