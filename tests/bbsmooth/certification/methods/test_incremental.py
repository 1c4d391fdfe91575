"""Certificates for a changed classifier, through the engine, on votes that are scripted by draw."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bbsmooth.certification import Abstention, Certificate, CertifyingCase, CohenPlan, Outcome, Reason, run_cases
from bbsmooth.certification.methods.incremental import IncrementalPlan, incremental_case
from bbsmooth.certification.methods.pairs import Pairs, lower_by_change, lower_by_votes
from bbsmooth.noise import Gaussian
from oracles import HalfspaceOracle, Purpose, ResponseStore, VoteLog
from oracles.recording import REFUSED
from tests.builders import SHAPE, CheckedSource, pictures, vote_source

COHEN = CohenPlan(noise=Gaussian(0.5), num_selection=20, num_estimation=400, alpha=0.01)
PLAN = IncrementalPlan(noise=COHEN.noise, num_estimation=100, alpha=0.01, earlier_selection=20, earlier_estimation=400)
NORMAL = torch.linspace(-1, 2, 16).reshape(SHAPE)
BEFORE = HalfspaceOracle(NORMAL, float(NORMAL.sum()) / 2)
AFTER = HalfspaceOracle(NORMAL, float(NORMAL.sum()) / 2 + 0.05)


def certified(source: CheckedSource, images: Tensor) -> list[Outcome]:
    cases = run_cases(
        enumerate(images),
        lambda image: CertifyingCase(image, COHEN, source, source.log.spec.classes),
        source,
        batch_size=64,
        concurrency=1,
        remaining=lambda: None,
    )
    return [case.outcome() for _, case, _ in cases]


def changed(
    source: CheckedSource, earlier: VoteLog, images: Tensor, *, batch_size: int = 64, concurrency: int = 1
) -> list[Outcome]:
    cases = run_cases(
        enumerate(images),
        lambda image: incremental_case(image, PLAN, source, earlier),
        source,
        batch_size=batch_size,
        concurrency=concurrency,
        remaining=lambda: None,
    )
    return [case.outcome() for _, case, _ in cases]


def test_the_bound_is_that_of_the_pairs_on_the_same_draws(tmp_path: Path) -> None:
    images, store = pictures(6, seed=1), ResponseStore(tmp_path / "responses")
    before, after = vote_source(BEFORE, store), vote_source(AFTER, store)
    earlier = certified(before, images)
    found = changed(after, before.log, images)
    assert changed(after, before.log, images, batch_size=7, concurrency=2) == found  # all from the record
    for image, outcome, old in zip(images, found, earlier, strict=True):
        stream = before.stream(image, Purpose.ESTIMATE)
        selected = old.verdict.evidence.selected
        then, now = (log.read(stream, 0, 100) == selected for log in (before.log, after.log))
        pairs = Pairs(
            earlier_votes=old.verdict.evidence.counts[selected or 0],
            earlier_trials=400,
            votes=int(now.sum()),
            trials=100,
            lost=int((then & ~now).sum()),
        )
        bound = lower_by_votes if old.selection_votes >= 19 else lower_by_change
        evidence = outcome.verdict.evidence
        assert evidence.p_lower == max(0.0, bound(pairs, alpha=0.01) - evidence.total_variation)
        assert (evidence.selected, evidence.num_selection, evidence.num_estimation) == (selected, 0, 100)
        assert sum(evidence.counts.values()) == 100
        assert PLAN.follows(outcome)
    assert any(isinstance(outcome.verdict, Certificate) for outcome in found)


def test_certificates_are_about_the_later_classifier(tmp_path: Path) -> None:
    """Its plane lies elsewhere: no radius exceeds the distance to it (the level leaves one in a hundred to chance)."""
    images, store = pictures(60, seed=2), ResponseStore(tmp_path / "responses")
    before, after = vote_source(BEFORE, store), vote_source(AFTER, store)
    certified(before, images)
    distances = AFTER.distance(images)
    exceeding = sum(
        isinstance(outcome.verdict, Certificate) and outcome.verdict.radius > float(distance)
        for outcome, distance in zip(changed(after, before.log, images), distances, strict=True)
    )
    assert exceeding <= 4


def test_an_unchanged_classifier_keeps_most_of_its_radius(tmp_path: Path) -> None:
    images, store = pictures(8, seed=3), ResponseStore(tmp_path / "responses")
    before = vote_source(BEFORE, store)
    same = replace(before, told=set(), log=VoteLog(store, replace(BEFORE.spec, fingerprint="cd" * 32)))
    earlier = certified(before, images)
    for old, new in zip(earlier, changed(same, before.log, images), strict=True):
        assert new.verdict.evidence.details["lost"] == 0
        assert new.verdict.evidence.p_lower > old.verdict.evidence.p_lower - 0.12


def test_an_outcome_that_does_not_follow_is_noticed(tmp_path: Path) -> None:
    images, store = pictures(4, seed=1), ResponseStore(tmp_path / "responses")
    before, after = vote_source(BEFORE, store), vote_source(AFTER, store)
    certified(before, images)
    outcome = next(found for found in changed(after, before.log, images) if isinstance(found.verdict, Certificate))
    for name, change in (("lost", 60), ("earlier_votes", 400), ("earlier_selection_votes", -20)):
        evidence = outcome.verdict.evidence
        other = replace(evidence, details=dict(evidence.details) | {name: evidence.details[name] + change})
        assert not PLAN.follows(replace(outcome, verdict=replace(outcome.verdict, evidence=other)))


def test_images_that_the_earlier_run_refused_or_did_not_finish(tmp_path: Path) -> None:
    images, store = pictures(2, seed=4), ResponseStore(tmp_path / "responses")
    before, after = vote_source(BEFORE, store), vote_source(AFTER, store)
    certified(before, images[:1])
    with pytest.raises(ValueError, match="did not choose a class"):
        incremental_case(images[1], PLAN, after, before.log)
    before.log.write([(before.stream(images[0], Purpose.ESTIMATE), 7, torch.tensor([REFUSED]))])
    (outcome,) = changed(after, before.log, images[:1])
    assert isinstance(outcome.verdict, Abstention)
    assert outcome.verdict.reason is Reason.REFUSED
    assert (after.log.read(after.stream(images[0], Purpose.ESTIMATE), 0, 100) < 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_estimation": 400}, "`num_estimation` must be below the earlier 400, got 400"),
        ({"alpha": 0.0}, "`alpha` must lie"),
    ],
)
def test_settings_under_which_nothing_is_proven_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PLAN, **change)
    assert np.isfinite(PLAN.largest_radius)
