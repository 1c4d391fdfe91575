"""The pilot asks what certification begins with, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bbsmooth.certification import run_cases
from bbsmooth.certification.methods.pilot import Pilot, PilotCase
from oracles import Purpose, ResponseStore
from oracles.oracle import NONE_OF_THESE, Classes
from tests.builders import WatchedOracle, halfspace, namer, pictures, vote_source


def test_a_pilot_asks_the_selection_draws_once(tmp_path: Path) -> None:
    watched, images = WatchedOracle(halfspace()), pictures(3, seed=1)
    source = vote_source(watched, ResponseStore(tmp_path))

    def counted() -> list[tuple[int, ...] | None]:
        cases = run_cases(
            enumerate(images),
            lambda image: PilotCase(image, 5, source, watched.spec.classes),
            source,
            batch_size=4,
            concurrency=1,
            remaining=lambda: None,
        )
        return [case.counts() for _, case, _ in cases]

    votes = counted()
    assert sum(watched.batches) == 15
    assert counted() == votes
    assert sum(watched.batches) == 15
    for image, count in zip(images, votes, strict=True):
        noisy = source.copies.draw(image, source.stream(image, Purpose.SELECT), first=0, count=5)
        drawn = torch.bincount(halfspace().query(noisy).labels).tolist()
        assert count == tuple(sorted((votes for votes in drawn if votes), reverse=True))


def test_an_image_without_an_answer_has_no_votes(tmp_path: Path) -> None:
    oracle = namer(Classes(open_set=True), lambda images: [NONE_OF_THESE] * len(images))
    source = vote_source(oracle, ResponseStore(tmp_path))
    case = PilotCase(pictures(1, seed=1)[0], 5, source, oracle.spec.classes)
    draws = case.take(Purpose.SELECT, 5)
    assert (case.cost, case.votes, case.finished) == (0, 5, False)
    case.tell(Purpose.SELECT, draws, source.votes([draws], Purpose.SELECT)[0])
    assert case.finished
    assert case.counts() is None


@pytest.mark.parametrize("votes", [(), (-1,), (3, 6)])
def test_votes_that_cannot_be(votes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a pilot needs images with 0 to 5 votes each"):
        Pilot(votes=votes, draws=5)
