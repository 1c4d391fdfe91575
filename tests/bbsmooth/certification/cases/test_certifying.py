"""What a case does with draws that are refused, and with answers that are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bbsmooth.certification import (
    Abstention,
    Certificate,
    CertifyingCase,
    Draws,
    Outcome,
    Plan,
    PredictCase,
    PredictPlan,
    Reason,
    SequentialPlan,
    VoteSource,
    run_cases,
)
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.noise import Gaussian
from oracles import Answers, ImageRefused, Oracle, OracleSpec, Purpose, ResponseStore
from oracles.oracle import NONE_OF_THESE, REFUSAL, Classes
from oracles.recording import REFUSED
from tests.builders import PLAN, WatchedOracle, digests, halfspace, namer, pictures, vote_source

SEQUENTIAL = SequentialPlan(
    noise=Gaussian(0.5),
    num_selection=10,
    max_estimation=400,
    alpha=0.05,
    beta=0.05,
    radii=(0.1,),
    test=DEFAULT_TEST,
)
IMAGE = pictures(1, seed=59)[0]


@dataclass(slots=True)
class RefusingOracle:
    """Refuses every batch that holds one of some images, and counts what it was asked.

    Args:
        oracle: answers the others.
        refused: digests of the images that it refuses.
    """

    oracle: Oracle
    refused: set[bytes] = field(default_factory=set)
    calls: list[int] = field(default_factory=list)

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Answer or refuse."""
        self.calls.append(len(images))
        if self.refused & set(digests(images)):
            raise ImageRefused("too rude")
        return self.oracle.query(images)


def refusing(folder: Path, purpose: Purpose, places: set[int]) -> tuple[RefusingOracle, VoteSource]:
    """An oracle that refuses some draws of `IMAGE`."""
    oracle = RefusingOracle(WatchedOracle(halfspace()))
    source = vote_source(oracle, ResponseStore(folder))
    stream = source.stream(IMAGE, purpose)
    for place in places:
        oracle.refused.update(digests(source.copies.draw(IMAGE, stream, first=place, count=1)))
    return oracle, source


def outcome_of(image: Tensor, plan: Plan, source: VoteSource, *, batch_size: int = 8, concurrency: int = 1) -> Outcome:
    (found,) = (
        case.outcome()
        for _, case, _ in run_cases(
            [(0, image)],
            lambda image: CertifyingCase(image, plan, source, source.log.spec.classes),
            source,
            batch_size=batch_size,
            concurrency=concurrency,
            remaining=lambda: None,
        )
    )
    return found


@pytest.mark.parametrize("places", [set[int](), {0}, {31}, {3, 4, 17}, set(range(32))])
def test_a_refused_batch_is_halved_until_every_draw_that_can_be_had_is_on_record(
    tmp_path: Path, places: set[int]
) -> None:
    oracle, source = refusing(tmp_path, Purpose.ESTIMATE, places)
    stream = source.stream(IMAGE, Purpose.ESTIMATE)
    draws = [Draws(IMAGE, stream, 0, 5), Draws(IMAGE, stream, 5, 1), Draws(IMAGE, stream, 6, 26)]
    labels = torch.cat(VoteSource.votes(source, draws, Purpose.ESTIMATE))
    assert {place for place, label in enumerate(labels.tolist()) if label == REFUSED} == places
    assert source.log.read(stream, 0, 32).tolist() == labels.tolist()
    inside = oracle.oracle
    assert isinstance(inside, WatchedOracle)
    assert set(inside.answered.values()) <= {1}  # no answer is asked for twice
    assert inside.answered.total() == 32 - len(places)
    assert len(oracle.calls) <= 1 + 2 * len(places) * 5


@pytest.mark.parametrize("batch_size", [1, 8, 64])
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("place", [0, 11, 22])
def test_a_fixed_number_of_draws_does_without_none(
    tmp_path: Path, batch_size: int, concurrency: int, place: int
) -> None:
    oracle, source = refusing(tmp_path, Purpose.ESTIMATE, {place})
    found = outcome_of(IMAGE, PLAN, source, batch_size=batch_size, concurrency=concurrency)
    assert isinstance(found.verdict, Abstention)
    assert found.verdict.reason is Reason.REFUSED
    evidence = found.verdict.evidence
    assert (evidence.counts, evidence.num_estimation, evidence.p_lower) == ({}, 0, 0.0)
    oracle.refused.clear()  # what was refused once is not asked again
    before = list(oracle.calls)
    assert outcome_of(IMAGE, PLAN, source) == found
    assert oracle.calls == before


@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_a_decision_stands_if_it_is_made_before_the_draw_that_is_refused(tmp_path: Path, batch_size: int) -> None:
    source = vote_source(halfspace(), ResponseStore(tmp_path / "a"))
    undisturbed = outcome_of(IMAGE, SEQUENTIAL, source)
    draws = undisturbed.verdict.evidence.num_estimation
    assert isinstance(undisturbed.verdict, Certificate)
    _, late = refusing(tmp_path / "late", Purpose.ESTIMATE, {draws})
    assert outcome_of(IMAGE, SEQUENTIAL, late, batch_size=batch_size) == undisturbed
    _, early = refusing(tmp_path / "early", Purpose.ESTIMATE, {draws - 1})
    verdict = outcome_of(IMAGE, SEQUENTIAL, early, batch_size=batch_size).verdict
    assert isinstance(verdict, Abstention)
    assert verdict.reason is Reason.REFUSED


def test_a_refused_selection_chooses_no_class(tmp_path: Path) -> None:
    oracle, source = refusing(tmp_path, Purpose.SELECT, {2})
    found = outcome_of(IMAGE, SEQUENTIAL, source)
    assert isinstance(found.verdict, Abstention)
    assert found.verdict.reason is Reason.REFUSED
    assert found.verdict.evidence.selected is None
    inside = oracle.oracle
    assert isinstance(inside, WatchedOracle)
    assert inside.answered.total() <= SEQUENTIAL.num_selection  # nothing is estimated


def test_an_image_of_which_a_draw_is_refused_leaves_others_alone(tmp_path: Path) -> None:
    images = [IMAGE, *pictures(3, seed=31)]
    undisturbed = [outcome_of(image, PLAN, vote_source(halfspace(), ResponseStore(tmp_path / "a"))) for image in images]
    _, source = refusing(tmp_path / "b", Purpose.ESTIMATE, {3})
    cases = run_cases(
        enumerate(images),
        lambda image: CertifyingCase(image, PLAN, source, source.log.spec.classes),
        source,
        batch_size=16,
        concurrency=2,
        remaining=lambda: None,
    )
    found = [case.outcome() for _, case, _ in cases]
    assert found[1:] == undisturbed[1:]
    assert found[0] != undisturbed[0]


@pytest.mark.parametrize("word", [REFUSAL, NONE_OF_THESE])
@pytest.mark.parametrize("plan", [PLAN, SEQUENTIAL], ids=lambda plan: plan.name)
def test_no_answer_is_no_class(tmp_path: Path, word: str, plan: Plan) -> None:
    oracle = WatchedOracle(namer(Classes(open_set=True), lambda images: [word] * len(images)))
    source = vote_source(oracle, ResponseStore(tmp_path))
    found = outcome_of(IMAGE, plan, source)
    assert isinstance(found.verdict, Abstention)
    assert found.verdict.reason is Reason.NO_ANSWER
    assert oracle.answered.total() == plan.num_selection  # nothing is spent on being certain of it


def test_answers_that_are_none_are_votes_against_the_class(tmp_path: Path) -> None:
    words = iter(["cat"] * 5 + ["cat", REFUSAL] * 100)
    take: Callable[[Tensor], list[str]] = lambda images: [next(words) for _ in images]  # noqa: E731
    source = vote_source(namer(Classes(open_set=True), take), ResponseStore(tmp_path))
    found = outcome_of(IMAGE, replace(PLAN, num_selection=5), source)
    counts = found.verdict.evidence.counts
    assert sum(counts.values()) == PLAN.num_estimation
    assert sorted(counts.values()) == [11, 12]


def test_a_prediction_abstains_where_a_draw_is_refused_or_the_answer_is_none(tmp_path: Path) -> None:
    def predicted(source: VoteSource) -> PredictCase:
        plan = PredictPlan(num_draws=30, alpha=0.05)
        (found,) = run_cases(
            [(0, IMAGE)],
            lambda image: PredictCase(image, plan, source, source.log.spec.classes),
            source,
            batch_size=8,
            concurrency=1,
            remaining=lambda: None,
        )
        return found[1]

    _, refused = refusing(tmp_path / "a", Purpose.PREDICT, {7})
    assert predicted(refused).prediction().reason is Reason.REFUSED
    none = namer(Classes(open_set=True), lambda images: [REFUSAL] * len(images))
    found = predicted(vote_source(none, ResponseStore(tmp_path / "b"))).prediction()
    assert (found.label, found.reason) == (None, Reason.NO_ANSWER)
    assert predicted(vote_source(halfspace(), ResponseStore(tmp_path / "c"))).prediction().reason in (
        None,
        Reason.UNPROVEN,
    )
