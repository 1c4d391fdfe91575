from pathlib import Path

import pytest
import torch

from bbsmooth.certification.cases.case import Tally
from oracles import Purpose, ResponseStore
from tests.builders import halfspace, pictures, vote_source


def open_tally(folder: Path, recorded: list[tuple[int, list[int]]], size: int) -> Tally:
    source, image = vote_source(halfspace(), ResponseStore(folder)), pictures(1, seed=1)[0]
    stream = source.stream(image, Purpose.ESTIMATE)
    source.log.write([(stream, first, torch.tensor(labels)) for first, labels in recorded])
    return Tally.open(source, image, Purpose.ESTIMATE, size)


def taken(tally: Tally, most: int) -> list[tuple[int, int]]:
    spans = []
    while tally.backlog:
        draws = tally.take(most)
        spans.append((draws.first, draws.count))
    return spans


def test_a_new_tally_misses_every_draw(tmp_path: Path) -> None:
    tally = open_tally(tmp_path, [], 2_500)
    assert (tally.backlog, tally.complete, tally.counts.total()) == (2_500, False, 0)
    assert taken(tally, 1_000) == [(0, 1_000), (1_000, 1_000), (2_000, 500)]


@pytest.mark.parametrize(
    ("recorded", "missing"),
    [
        ([(0, [1, 1])], [(2, 8)]),
        ([(8, [1, 0])], [(0, 8)]),
        ([(3, [1, 1]), (6, [0])], [(0, 3), (5, 1), (7, 3)]),
        ([(0, [1] * 10)], []),
        ([(9, [1] * 50)], [(0, 9)]),
    ],
)
def test_only_the_draws_that_are_not_on_record_are_missing(
    tmp_path: Path, recorded: list[tuple[int, list[int]]], missing: list[tuple[int, int]]
) -> None:
    tally = open_tally(tmp_path, recorded, 10)
    assert taken(tally, 100) == missing
    assert tally.counts.total() == 10 - sum(count for _, count in missing)


def test_a_tally_is_complete_when_every_draw_that_was_taken_is_answered(tmp_path: Path) -> None:
    tally = open_tally(tmp_path, [(2, [0])], 5)
    assert [tally.take(most).first for most in (1, 1, 2)] == [0, 1, 3]
    complete = []
    for labels in ([1, 1], [1], [0]):
        tally.tell(torch.tensor(labels))
        complete.append(tally.complete)
    assert complete == [False, False, True]
    assert tally.counts == {0: 2, 1: 3}


def test_votes_of_the_first_draws_count_for_a_longer_and_for_a_shorter_tally(tmp_path: Path) -> None:
    recorded = [(0, [1] * 1_100)]
    assert open_tally(tmp_path, recorded, 1_000).counts == {1: 1_000}
    longer = open_tally(tmp_path, recorded, 5_000)
    assert longer.counts == {1: 1_100}
    assert taken(longer, 10_000) == [(1_100, 3_900)]
