"""Certificates without chance, through the engine."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bbsmooth.certification import Abstention, Certificate, Outcome, Reason, VoteSource, run_cases
from bbsmooth.certification.cases.fixed import FixedCase
from bbsmooth.certification.methods.splitting import SplittingPlan
from bbsmooth.noise import Splitting, SplitViews
from oracles import Feedback, FunctionOracle, ImageRefused, Purpose, ResponseStore, VoteLog
from oracles.oracle import REFUSAL, Classes
from tests.builders import WatchedOracle, pictures

PLAN = SplittingPlan(noise=Splitting(0.2))  # 177 views
SEED = 3


def bright(images: NDArray[np.float32]) -> list[int]:
    """Dark, middle or bright, by the first pixel."""
    return [min(2, int(image[0, 0, 0] * 3)) for image in images]


def watched(
    answers: Callable[[NDArray[np.float32]], list[int]] = bright, classes: Classes | None = None
) -> WatchedOracle:
    oracle = FunctionOracle(
        answers,
        name="function",
        fingerprint="ab",
        classes=classes or Classes.numbered(3),
        feedback=Feedback.LABELS,
    )
    return WatchedOracle(oracle)


def outcomes(
    oracle: WatchedOracle, images: Tensor, folder: Path, *, batch_size: int = 50, concurrency: int = 1, eight_bit: bool
) -> list[Outcome]:
    store = ResponseStore(folder / "responses")
    source = VoteSource(
        oracles={Purpose.ESTIMATE: oracle},
        log=VoteLog(store, oracle.spec),
        copies=SplitViews(noise=PLAN.noise, seed=SEED, eight_bit=eight_bit),
    )
    cases = run_cases(
        enumerate(images),
        lambda image: FixedCase(image, PLAN.queries, source, lambda labels: PLAN.conclude(labels, oracle.spec.classes)),
        source,
        batch_size=batch_size,
        concurrency=concurrency,
        remaining=lambda: None,
    )
    try:
        return [case.outcome() for _, case, _ in cases]
    finally:
        store.close()


@pytest.mark.parametrize("eight_bit", [True, False])
def test_all_views_are_counted_and_the_radius_is_exact(tmp_path: Path, eight_bit: bool) -> None:
    oracle, images = watched(), pictures(6, seed=1)
    found = outcomes(oracle, images, tmp_path, eight_bit=eight_bit)
    for image, outcome in zip(images, found, strict=True):
        offsets = PLAN.noise.offsets(SEED, image.numel())
        views = PLAN.noise.view(image, offsets, first=0, count=PLAN.queries, eight_bit=eight_bit)
        counts = Counter(watched().query(views).labels.tolist())
        (label, most), *others = counts.most_common()
        evidence = outcome.verdict.evidence
        assert evidence.counts == counts
        assert (evidence.alpha, evidence.num_selection, evidence.num_estimation) == (0.0, 0, 177)
        assert isinstance(outcome.verdict, Certificate)
        assert (outcome.verdict.label, outcome.verdict.radius) == (
            label,
            (most - max([0, *dict(others).values()])) / 510,
        )
        assert PLAN.follows(outcome)
    assert sum(oracle.batches) == 6 * 177


def test_no_certificate_is_broken_by_moving_the_pixel_that_decides(tmp_path: Path) -> None:
    """The classifier sees one pixel: moving it by less than the radius changes no smoothed class, by more it does."""
    image = pictures(1, seed=2)[0]
    values = list(range(0, 256, 3))
    moved = image.repeat(len(values), 1, 1, 1)
    moved[:, 0, 0, 0] = torch.tensor(values)
    found = [outcome.verdict for outcome in outcomes(watched(), moved, tmp_path, eight_bit=False)]
    labels = [verdict.label if isinstance(verdict, Certificate) else None for verdict in found]
    assert len(set(labels) - {None}) == 3
    for value, verdict in zip(values, found, strict=True):
        if isinstance(verdict, Certificate):
            within = {label for at, label in zip(values, labels, strict=True) if abs(at - value) / 255 < verdict.radius}
            assert within == {verdict.label}


def test_resumed_and_in_any_batches_it_is_the_same_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    images = pictures(3, seed=4)
    once = outcomes(watched(), images, tmp_path / "once", eight_bit=True)
    first = watched()
    outcomes(first, images[:2], tmp_path / "again", batch_size=8, concurrency=2, eight_bit=True)
    later = watched()
    assert outcomes(later, images, tmp_path / "again", batch_size=1_000, eight_bit=True) == once
    assert sum(later.batches) == 177


def test_an_outcome_that_does_not_follow_is_noticed(tmp_path: Path) -> None:
    (outcome,) = outcomes(watched(), pictures(1, seed=5), tmp_path, eight_bit=True)
    assert isinstance(outcome.verdict, Certificate)
    assert not PLAN.follows(replace(outcome, verdict=replace(outcome.verdict, radius=outcome.verdict.radius * 1.01)))
    fewer = replace(outcome.verdict.evidence, counts={outcome.verdict.label: 176})
    assert not PLAN.follows(replace(outcome, verdict=replace(outcome.verdict, evidence=fewer)))


def test_a_draw_between_classes_and_refusals_are_abstentions(tmp_path: Path) -> None:
    even = SplittingPlan(noise=Splitting(0.2))
    tie = even.conclude(np.array([0] * 88 + [1] * 88 + [2]), Classes.numbered(3)).verdict
    assert isinstance(tie, Abstention)
    assert tie.reason is Reason.UNPROVEN

    classes = Classes([REFUSAL, "cat"], open_set=True)
    silent = even.conclude(np.zeros(177, dtype=np.int32), classes).verdict
    assert isinstance(silent, Abstention)
    assert (silent.reason, silent.evidence.p_lower) == (Reason.NO_ANSWER, 0.0)

    def refuse() -> None:
        raise ImageRefused("not this one")

    refusing = watched()
    refusing.before = refuse
    (outcome,) = outcomes(refusing, pictures(1, seed=6), tmp_path, eight_bit=True)
    assert isinstance(outcome.verdict, Abstention)
    assert outcome.verdict.reason is Reason.REFUSED
