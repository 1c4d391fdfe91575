from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from torch import Tensor

from bbsmooth.certification import CertifyingCase, InOrder, LabelledCase, Outcome, PolicyDriven, VoteSource, run_cases
from bbsmooth.certification.engine.loop import Arrange
from bbsmooth.certification.engine.policies import POLICIES
from oracles import Budget, BudgetExhausted, ImageRefused, Ledger, Oracle, Purpose, ResponseStore
from tests.builders import PLAN, WatchedOracle, digests, halfspace, pictures, vote_source

IMAGES = pictures(12, seed=8)


def labelling(oracle: Oracle, folder: Path, ledger: Ledger | None = None) -> VoteSource:
    """A source that shows clean images where it is asked to predict."""
    source = vote_source(oracle, ResponseStore(folder), ledger=ledger)
    return replace(source, clean=frozenset({Purpose.PREDICT}))


def allocated() -> Arrange[LabelledCase]:
    return lambda images, budget: PolicyDriven(
        images, budget, POLICIES["cheapest"], num_selection=PLAN.num_selection, max_estimation=PLAN.max_estimation
    )


def found(
    source: VoteSource,
    *,
    images: Tensor = IMAGES,
    arrange: Arrange[LabelledCase] = InOrder,
    batch_size: int = 8,
    budget: int | None = None,
) -> Iterator[tuple[int, int | None, Outcome]]:
    classes = source.log.spec.classes
    spent = 0

    def progress(purpose: Purpose, queries: int) -> None:
        nonlocal spent
        spent += queries

    finished = run_cases(
        enumerate(images),
        lambda image: LabelledCase.by_oracle(CertifyingCase(image, PLAN, source, classes), source),
        source,
        batch_size=batch_size,
        concurrency=2,
        remaining=lambda: None if budget is None else budget - spent,
        arrange=arrange,
        progress=progress,
    )
    for index, case, _ in finished:
        yield index, case.label, case.outcome()


@pytest.mark.parametrize("arrange", [InOrder, allocated()], ids=["in turn", "allocated"])
def test_labels_are_the_answers_to_clean_images_asked_once_and_in_full_batches(
    tmp_path: Path, arrange: Arrange[LabelledCase]
) -> None:
    oracle = WatchedOracle(halfspace())
    labels = {index: label for index, label, _ in found(labelling(oracle, tmp_path), arrange=arrange)}
    assert labels == dict(enumerate(halfspace().query(IMAGES).labels.tolist()))
    clean = set(digests(IMAGES))
    assert [oracle.answered[image] for image in clean] == [1] * len(IMAGES)
    assert oracle.answered.total() == len(IMAGES) * (PLAN.num_selection + PLAN.max_estimation + 1)
    assert sum(size < 8 for size in oracle.batches) <= 4
    again = WatchedOracle(halfspace())
    assert {index: label for index, label, _ in found(labelling(again, tmp_path), arrange=arrange)} == labels
    assert again.answered.total() == 0


def test_outcomes_are_those_without_labels(tmp_path: Path) -> None:
    source = vote_source(halfspace(), ResponseStore(tmp_path / "plain"))
    plain = run_cases(
        enumerate(IMAGES),
        lambda image: LabelledCase.without(CertifyingCase(image, PLAN, source, source.log.spec.classes)),
        source,
        batch_size=8,
        concurrency=1,
        remaining=lambda: None,
    )
    expected = [(index, case.label, case.outcome()) for index, case, _ in plain]
    assert {label for _, label, _ in expected} == {None}
    labelled = found(labelling(halfspace(), tmp_path / "labelled"))
    assert [outcome for _, _, outcome in labelled] == [outcome for _, _, outcome in expected]


@pytest.mark.parametrize("extra", [0, 1, 28])
def test_only_images_that_can_be_paid_for_are_labelled(tmp_path: Path, extra: int) -> None:
    oracle, each = WatchedOracle(halfspace()), PLAN.num_selection + PLAN.max_estimation + 1
    budget = 3 * each + extra
    ledger = Ledger(Budget(queries=budget))
    outcomes = found(labelling(oracle, tmp_path, ledger), budget=budget)
    assert [index for index, _, _ in islice(outcomes, 3)] == [0, 1, 2]
    with pytest.raises(BudgetExhausted):
        next(outcomes)
    assert oracle.answered.total() == 3 * each
    assert ledger.spent[Purpose.PREDICT] == 3


def test_an_image_that_the_oracle_refuses_to_label_has_none(tmp_path: Path) -> None:
    refused = digests(IMAGES[:1])[0]

    class Squeamish(WatchedOracle):
        def query(self, images: Tensor):  # type: ignore[no-untyped-def]
            if refused in digests(images):
                raise ImageRefused("no")
            return self.oracle.query(images)

    labels = [label for _, label, _ in found(labelling(Squeamish(halfspace()), tmp_path))]
    assert labels[0] is None
    assert None not in labels[1:]
