from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from bbsmooth.certification import (
    Abstention,
    AdaptivePlan,
    Certificate,
    CertifyingCase,
    Decision,
    Outcome,
    Plan,
    SequentialPlan,
    State,
    VoteSource,
    run_cases,
)
from bbsmooth.certification.methods.sequential import prove
from bbsmooth.certification.protocols import Selection
from bbsmooth.certification.sequences import DEFAULT_TEST, Calibrated, FromSelection, TruncatedBetaBinomial
from bbsmooth.noise import Gaussian
from oracles import Budget, BudgetExhausted, Ledger, ResponseStore
from tests.builders import WatchedOracle, halfspace, pictures, vote_source

PLAN = SequentialPlan(
    noise=Gaussian(0.5),
    num_selection=10,
    max_estimation=600,
    alpha=0.01,
    beta=0.01,
    radii=(0.125, 0.25, 0.5),
    test=Calibrated(),
)
ADAPTIVE = AdaptivePlan(
    noise=Gaussian(0.5), num_selection=20, max_estimation=1_000, alpha=0.01, beta=0.01, tolerance=0.05
)


def easy(count: int) -> Tensor:
    """Images at least 0.9 from the plane, on its positive side."""
    images = pictures(count, seed=6)
    images[halfspace().normal.expand_as(images) > 0] |= 192
    images[halfspace().normal.expand_as(images) < 0] &= 63
    assert halfspace().distance(images).min() > 0.9
    return images


def decide(
    images: Tensor,
    source: VoteSource,
    plan: Plan = PLAN,
    *,
    batch_size: int = 64,
    concurrency: int = 1,
    remaining: Callable[[], int | None] = lambda: None,
) -> Iterator[Outcome]:
    finished = run_cases(
        enumerate(images),
        lambda image: CertifyingCase(image, plan, source, source.log.spec.classes),
        source,
        batch_size=batch_size,
        concurrency=concurrency,
        remaining=remaining,
    )
    return (case.outcome() for _, case, _ in finished)


@pytest.mark.parametrize(("batch_size", "concurrency"), [(1, 1), (7, 1), (7, 8), (256, 1), (256, 8), (1_024, 8)])
@pytest.mark.parametrize(
    "test",
    [Calibrated(), TruncatedBetaBinomial(), DEFAULT_TEST],
    ids=lambda test: type(test).__name__,
)
def test_outcomes_depend_on_nothing_but_the_draws(
    tmp_path: Path, test: Calibrated | TruncatedBetaBinomial | FromSelection, batch_size: int, concurrency: int
) -> None:
    images, plan = pictures(2 if batch_size == 1 else 6, seed=3), replace(PLAN, test=test)
    reference = list(decide(images, vote_source(halfspace(), ResponseStore(tmp_path / "a")), plan))
    oracle = WatchedOracle(halfspace())
    source = vote_source(oracle, ResponseStore(tmp_path / "b"))
    assert list(decide(images, source, plan, batch_size=batch_size, concurrency=concurrency)) == reference
    assert all(plan.follows(outcome) for outcome in reference)
    asked, used = sum(oracle.batches), sum(outcome.verdict.evidence.queries for outcome in reference)
    if batch_size == 1:
        assert asked == used
    assert used <= asked <= 1.3 * used + batch_size * concurrency


@pytest.mark.parametrize("calls", [1, 5, 12, 20])
def test_an_interrupted_run_goes_on_from_its_record(tmp_path: Path, calls: int) -> None:
    images, left = pictures(6, seed=4), calls

    def interrupt() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt

    reference = list(decide(images, vote_source(halfspace(), ResponseStore(tmp_path / "a"))))
    first = WatchedOracle(halfspace(), before=interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(decide(images, vote_source(first, ResponseStore(tmp_path / "b"))))
    second = WatchedOracle(halfspace())
    assert list(decide(images, vote_source(second, ResponseStore(tmp_path / "b")), batch_size=7)) == reference
    assert max((first.answered + second.answered).values()) == 1  # nothing is asked twice
    third = WatchedOracle(halfspace())
    assert list(decide(images, vote_source(third, ResponseStore(tmp_path / "b")))) == reference
    assert not third.batches


def test_certificates_and_refutations_are_wrong_no_more_often_than_they_say(tmp_path: Path) -> None:
    oracle, images = halfspace(), pictures(120, seed=5)
    plan = replace(PLAN, alpha=0.05, beta=0.05, max_estimation=300)
    outcomes = list(decide(images, vote_source(oracle, ResponseStore(tmp_path)), plan, batch_size=1_024))
    true = oracle.distance(images).tolist()
    labels = oracle.query(images).labels.tolist()
    wrong = missed = 0
    for outcome, distance, label in zip(outcomes, true, labels, strict=True):
        own = distance if outcome.verdict.evidence.selected == label else 0.0
        wrong += isinstance(outcome.verdict, Certificate) and outcome.verdict.radius > own
        missed += any(item.state is State.REFUTED and item.radius < own for item in outcome.decisions)
    tolerance = 4 * (0.05 * 120) ** 0.5
    assert wrong <= 0.05 * 120 + tolerance
    assert missed <= 0.05 * 120 + tolerance
    assert sum(isinstance(outcome.verdict, Certificate) for outcome in outcomes) > 20


def test_easy_images_cost_a_small_part_of_a_fixed_number(tmp_path: Path) -> None:
    oracle, images = halfspace(), easy(10)
    plan = replace(PLAN, num_selection=100, max_estimation=10_000, alpha=0.001, beta=0.001)
    outcomes = list(decide(images, vote_source(oracle, ResponseStore(tmp_path)), plan, batch_size=256))
    assert len(outcomes) == 10
    assert all(outcome.verdict.radius >= 0.5 for outcome in outcomes if isinstance(outcome.verdict, Certificate))
    assert all(isinstance(outcome.verdict, Certificate) for outcome in outcomes)
    queries = [outcome.verdict.evidence.queries for outcome in outcomes]
    assert np.mean(queries) < 10_100 / 25


def test_the_bound_of_a_confidence_sequence_can_prove_more_than_the_radii_asked_for(tmp_path: Path) -> None:
    plan = replace(PLAN, radii=(0.1,), test=TruncatedBetaBinomial())
    for outcome in decide(easy(10), vote_source(halfspace(), ResponseStore(tmp_path)), plan):
        assert isinstance(outcome.verdict, Certificate)
        assert outcome.verdict.radius >= 0.1
        evidence = outcome.verdict.evidence
        assert outcome.verdict.radius == pytest.approx(0.5 * norm.ppf(evidence.p_lower), rel=1e-9)


@pytest.mark.parametrize("test", [Calibrated(), TruncatedBetaBinomial(), DEFAULT_TEST], ids=lambda test: test.name)
def test_a_changed_outcome_no_longer_follows(
    tmp_path: Path, test: Calibrated | TruncatedBetaBinomial | FromSelection
) -> None:
    plan = replace(PLAN, test=test)
    outcome = next(decide(pictures(1, seed=8), vote_source(halfspace(), ResponseStore(tmp_path)), plan))
    assert plan.follows(outcome)
    assert not replace(plan, alpha=1e-9, beta=1e-9).follows(outcome)
    assert not replace(plan, radii=(0.1, 0.25, 0.5)).follows(outcome)
    for index, decision in enumerate(outcome.decisions):
        changed = replace(decision, state=State.CERTIFIED, draws=3, successes=3)
        decisions = (*outcome.decisions[:index], changed, *outcome.decisions[index + 1 :])
        assert not plan.follows(replace(outcome, decisions=decisions))
    verdict = outcome.verdict
    assert isinstance(verdict, Certificate)
    for other in (replace(verdict, radius=0.6), replace(verdict, label=7), Abstention(evidence=verdict.evidence)):
        assert not plan.follows(replace(outcome, verdict=other))
    counts = {**verdict.evidence.counts, 9: 1}
    assert not plan.follows(
        replace(outcome, verdict=replace(verdict, evidence=replace(verdict.evidence, counts=counts)))
    )


def test_no_vote_is_looked_at_after_the_one_that_decides() -> None:
    """Else a long sequence that proves nothing could be said to have begun with all its successes."""
    selection = Selection(selected=0, votes=9, total_variation=0.0)
    for radii in ((0.25,), (0.25, 0.5)):
        plan = replace(PLAN, radii=radii)
        bounds = plan.boundaries_given(9, total_variation=0.0)
        first = [int(np.argmax(upper <= np.arange(601))) for upper in bounds.upper]  # if all votes are successes
        decisions = tuple(
            Decision(radius=radius, state=State.CERTIFIED, draws=draws, successes=draws)
            for radius, draws in zip(radii, first, strict=True)
        )

        def said(
            counts: Counter[int], decisions: tuple[Decision, ...] = decisions, plan: SequentialPlan = plan
        ) -> bool:
            verdict = prove(selection, counts, decisions, plan)
            return plan.follows(Outcome(verdict=verdict, selection_votes=9, decisions=decisions))

        assert said(Counter({0: first[-1]}))
        assert not said(Counter({0: first[-1], 1: 300}))
    fewer = replace(decisions[1], draws=first[1] + 40, successes=first[0] - 1)
    assert not said(Counter({0: first[0] - 1, 1: first[1] + 41 - first[0]}), (decisions[0], fewer))


def test_radius_0_asks_for_the_class_of_the_image_itself(tmp_path: Path) -> None:
    oracle, images = halfspace(), pictures(30, seed=9)
    plan = replace(PLAN, radii=(0.0,), max_estimation=2_000)
    outcomes = list(decide(images, vote_source(oracle, ResponseStore(tmp_path)), plan))
    assert sum(isinstance(outcome.verdict, Certificate) for outcome in outcomes) > 20
    for outcome in outcomes:
        assert plan.follows(outcome)
        if isinstance(outcome.verdict, Certificate):
            assert outcome.verdict.radius == 0.0
            assert outcome.verdict.evidence.p_lower == 0.5
            assert [decision.state for decision in outcome.decisions] == [State.CERTIFIED]


def test_a_budget_is_shared_by_what_images_need_and_never_exceeded(tmp_path: Path) -> None:
    plan = replace(PLAN, max_estimation=2_000, alpha=0.001, beta=0.001)
    ledger = Ledger(Budget(queries=3_000))
    source = vote_source(halfspace(), ResponseStore(tmp_path), ledger=ledger)
    outcomes: list[Outcome] = []
    decided = decide(easy(100), source, plan, remaining=lambda: ledger.remaining)
    with pytest.raises(BudgetExhausted):
        outcomes.extend(decided)
    assert ledger.total <= 3_000
    assert len(outcomes) > 1  # each could have claimed 2,010
    assert 3_000 - ledger.total < 2_010  # and goes on until the next one might not fit


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_selection": 0}, "`num_selection` and `num_estimation`"),
        ({"max_estimation": 0}, "`num_selection` and `num_estimation`"),
        ({"alpha": 0.0}, "`alpha` and `beta`"),
        ({"beta": 1.0}, "`alpha` and `beta`"),
        ({"radii": ()}, "radii"),
        ({"radii": (-0.1, 0.5)}, "radii"),
        ({"radii": (0.5, 0.25)}, "radii"),
        ({"radii": (0.25, 0.25)}, "radii"),
    ],
)
def test_settings_under_which_nothing_can_be_decided_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PLAN, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("batch_size", "concurrency"), [(7, 1), (256, 8)])
def test_grown_radii_depend_on_nothing_but_the_draws(tmp_path: Path, batch_size: int, concurrency: int) -> None:
    images, oracle = pictures(6, seed=9), halfspace()

    def grow(folder: Path, batch_size: int, concurrency: int) -> list[Outcome]:
        source = vote_source(oracle, ResponseStore(folder))
        return list(decide(images, source, ADAPTIVE, batch_size=batch_size, concurrency=concurrency))

    reference = grow(tmp_path / "a", 64, 1)
    assert grow(tmp_path / "b", batch_size, concurrency) == reference
    assert grow(tmp_path / "a", 64, 1) == reference  # from the record
    for outcome, distance in zip(reference, oracle.distance(images).tolist(), strict=True):
        verdict = outcome.verdict
        assert not isinstance(verdict, Certificate) or verdict.radius <= distance + 0.05
        assert ADAPTIVE.follows(outcome)
        assert not ADAPTIVE.follows(replace(outcome, verdict=with_bound(verdict, verdict.evidence.p_lower + 0.01)))
        assert not replace(ADAPTIVE, alpha=1e-6).follows(outcome)


def with_bound(verdict: Certificate | Abstention, p_lower: float) -> Certificate | Abstention:
    """A verdict that claims another bound."""
    return replace(verdict, evidence=replace(verdict.evidence, p_lower=p_lower))


def test_an_image_that_is_given_up_follows(tmp_path: Path) -> None:
    oracle = halfspace()
    plan = replace(ADAPTIVE, num_selection=1, max_estimation=3_000)
    images = pictures(60, seed=12)
    outcomes = list(decide(images, vote_source(oracle, ResponseStore(tmp_path)), plan, batch_size=256))
    assert all(plan.follows(outcome) for outcome in outcomes)
    given_up = [outcome for outcome in outcomes if isinstance(outcome.verdict, Abstention)]
    assert any(outcome.verdict.evidence.num_estimation < 400 for outcome in given_up)


def test_the_looks_of_an_adaptive_sample_size_share_alpha() -> None:
    for votes in range(21):
        looks = ADAPTIVE.looks(votes)
        assert sum(level for _, level in looks) == pytest.approx(ADAPTIVE.alpha)
        assert looks[-1][0] == ADAPTIVE.max_estimation
        assert list(looks) == sorted(looks)


def test_adaptive_is_refused_without_a_tolerance() -> None:
    with pytest.raises(ValueError, match="tolerance"):
        replace(ADAPTIVE, tolerance=0.0)
    with pytest.raises(ValueError, match="`num_selection` and `num_estimation`"):
        replace(ADAPTIVE, num_selection=0)


@pytest.mark.parametrize("plan", [PLAN, ADAPTIVE], ids=lambda plan: plan.name)
def test_a_case_without_answers_has_no_verdict(tmp_path: Path, plan: Plan) -> None:
    source, image = vote_source(halfspace(), ResponseStore(tmp_path)), torch.zeros(1, 4, 4, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="not finished"):
        CertifyingCase(image, plan, source, source.log.spec.classes).outcome()
