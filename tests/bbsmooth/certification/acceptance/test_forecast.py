"""Forecasts of acceptance tests: runs at a rate end as computed exactly, and intervals and chances cover the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom

from bbsmooth.certification.acceptance import forecast
from bbsmooth.certification.acceptance.claims import Acceptance, AcceptancePlan, Answer
from bbsmooth.certification.acceptance.forecast import (
    AcceptanceExpectation,
    ImageTrials,
    LabelPilot,
    forecast_acceptance,
)
from bbsmooth.certification.acceptance.images import ImageTest
from bbsmooth.certification.forecast import CONFIDENCE, Floats
from bbsmooth.certification.methods.decisions import RadiusTests
from bbsmooth.certification.methods.pilot import Pilot
from bbsmooth.certification.population import CELLS, EDGES
from bbsmooth.certification.sequences import stopping
from bbsmooth.certification.verdict import State
from bbsmooth.noise import Gaussian

TEST = ImageTest(noise=Gaussian(0.5), radii=(0.25,), image_alpha=0.1, image_beta=0.05, max_estimation=300)
IMAGES, ASKED, PILOT, DRAWS = 400, 300, 40, 20
PLAN = AcceptancePlan(
    test=TEST, at_least=0.8, alpha_total=0.05, beta=0.05, sizes={"": IMAGES}, finite=True, max_images=ASKED
)
ALMOST_NEVER = 1e-4  # of a right program failing here


@pytest.fixture(scope="module")
def trials() -> ImageTrials:
    return ImageTrials.of(PLAN, total_variation=0.0, generator=np.random.default_rng(0))


def foretold(
    trials: ImageTrials, votes: Sequence[int], *, silent: int = 0, copies: int = 1, plan: AcceptancePlan = PLAN
) -> AcceptanceExpectation:
    """The forecast from votes of the first images; the next ones are silent."""
    seen = LabelPilot(
        pilot=Pilot(votes=tuple(votes), draws=DRAWS, unanswered=silent),
        places=range(len(votes)),
        silent=range(len(votes), len(votes) + silent),
        kinds=np.repeat(np.arange(plan.sizes[""] // copies), copies),
        groups=np.zeros(plan.sizes[""], dtype=np.int64),
    )
    return forecast_acceptance(plan, seen, trials, total_variation=0.0, seed=0)


def happened(rates: Floats, generator: np.random.Generator) -> tuple[int, Answer]:
    """Queries and answer of an acceptance test of images of these rates, one after the other."""
    acceptance, bounds, queries = Acceptance(PLAN, TEST.leaks(0.0)), TEST.boundaries(0.0), 0
    for rate in generator.permutation(rates):
        if not acceptance.wants(""):
            break
        tests, asked = RadiusTests(bounds), 0
        while not tests.finished:
            asked = tests.draws + tests.ahead(0, 0)
            tests.see(generator.random(asked - tests.draws) < rate)
        acceptance.see("", tests.states())
        queries += asked
    return queries, acceptance.answer


def test_runs_in_a_cell_end_as_the_exact_computation_says(trials: ImageTrials) -> None:
    """Between a test that gives up at once where a certificate is out of reach, and one that never gives up."""
    bounds = TEST.boundaries(0.0)
    cells = np.repeat(np.arange(CELLS), np.diff(trials.starts))
    rates = ndtr((EDGES[cells] + EDGES[cells + 1]) / 2).tolist()
    never, at_once = (
        [stopping(rate, upper=bounds.upper[0], lower=np.minimum(lower[0], bounds.upper[0] - 1)) for rate in rates]
        for lower in (bounds.lower, bounds.slim)
    )
    certified, refuted = (
        sum(states == (state,) for states in trials.states[-1][:-1]) for state in (State.CERTIFIED, State.REFUTED)
    )
    tolerance = 4 * float(sum(end.certification * (1 - end.certification) for end in never)) ** 0.5
    assert certified > sum(end.certification for end in at_once) - tolerance
    assert certified < sum(end.certification for end in never) + tolerance
    assert refuted < sum(end.refutation for end in never) + tolerance
    assert certified + refuted > 0.8 * len(cells)
    assert trials.states[-1][-1] == (State.UNDECIDED,)
    assert trials.queries.max() <= TEST.max_estimation


def test_what_the_pilot_points_to_is_likely(trials: ImageTrials) -> None:
    right = foretold(trials, (20,) * PILOT)
    assert right.answer[Answer.SHOWN] > 0.8
    assert right.claims[""][0].good.low > 0.8
    wrong = foretold(trials, (0,) * PILOT)
    assert wrong.answer[Answer.REFUTED] > 0.99
    assert wrong.claims[""][0].good.high < 0.2
    assert wrong.queries.high < 500
    assert [claim.answer for claim in right.claims[""]] == [right.answer]
    assert sum(right.answer.values()) == pytest.approx(1)


def test_images_that_do_not_answer_count_for_neither_side(trials: ImageTrials) -> None:
    found = foretold(trials, (20,) * 20, silent=20)
    assert found.answer == {Answer.SHOWN: 0.0, Answer.REFUTED: 0.0, Answer.NOT_SHOWN: 1.0}
    assert 0.3 < found.claims[""][0].good.expected < 0.7


def test_the_rates_of_equal_images_are_known_together(trials: ImageTrials) -> None:
    """Of 40 different images the pilot saw all, however often each occurs."""
    once = foretold(trials, (20,) * PILOT)
    often = foretold(trials, (20,) * PILOT, copies=IMAGES // PILOT)
    assert often.claims[""][0].good.low == 1.0 > once.claims[""][0].good.low
    assert often.answer[Answer.SHOWN] == 1.0


def test_intervals_and_chances_cover_what_happens(trials: ImageTrials, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 cases each of three populations: rates in two kinds, spread out, and some next to the radius."""
    monkeypatch.setattr(forecast, "REPLICATES", 60)
    held, answers, chances = [], Counter[Answer](), Counter[Answer]()
    for case in range(24):
        generator = np.random.default_rng(case)
        share = generator.uniform(0.65, 0.98)
        good = generator.random(IMAGES) < share
        kinds = np.where(good, 2.5, -1.0)
        spread = 0.5 + np.where(good, 1, -1) * abs(generator.normal(size=IMAGES))
        close = np.where(generator.random(IMAGES) < 0.1, 0.5, kinds)
        places = (kinds, spread, close)[case % 3]
        rates = ndtr(places)
        found = foretold(trials, generator.binomial(DRAWS, rates[:PILOT]).tolist())
        queries, answer = happened(rates, generator)
        held.append(found.queries.low <= queries <= found.queries.high)
        answers[answer] += 1
        chances.update(found.answer)
    assert binom.cdf(sum(held), len(held), CONFIDENCE) > ALMOST_NEVER
    for answer in Answer:
        assert abs(answers[answer] - chances[answer]) < 4 * (len(held) / 4) ** 0.5
    assert len(answers) == 3
