from pathlib import Path

import numpy as np
import torch

from bbsmooth.certification.cases.ordered import OrderedVotes
from oracles import Purpose, ResponseStore
from tests.builders import halfspace, pictures, vote_source


def open_votes(folder: Path, recorded: list[tuple[int, list[int]]], most: int) -> OrderedVotes:
    source, image = vote_source(halfspace(), ResponseStore(folder)), pictures(1, seed=1)[0]
    stream = source.stream(image, Purpose.ESTIMATE)
    source.log.write([(stream, first, torch.tensor(labels)) for first, labels in recorded])
    return OrderedVotes.open(source, image, Purpose.ESTIMATE, most)


def test_votes_on_record_are_known_up_to_the_first_gap(tmp_path: Path) -> None:
    votes = open_votes(tmp_path, [(0, [1, 1, 0]), (5, [1])], 10)
    assert votes.known == 3
    assert [votes.backlog(until) for until in (2, 4, 6, 10)] == [0, 1, 2, 6]


def test_draws_are_taken_in_order_around_what_is_on_record(tmp_path: Path) -> None:
    votes = open_votes(tmp_path, [(3, [1]), (6, [0, 0])], 10)
    spans = []
    while votes.backlog(10):
        draws = votes.take(2)
        spans.append((draws.first, draws.count))
    assert spans == [(0, 2), (2, 1), (4, 2), (8, 2)]


def test_answers_count_in_the_order_of_their_draws(tmp_path: Path) -> None:
    votes = open_votes(tmp_path, [], 6)
    first, second, third = votes.take(2), votes.take(2), votes.take(2)
    votes.tell(third, torch.tensor([1, 1]))
    votes.tell(second, torch.tensor([0, 1]))
    assert votes.known == 0
    votes.tell(first, torch.tensor([1, 0]))
    assert votes.known == 6
    assert votes.labels.tolist() == [1, 0, 0, 1, 1, 1]


def test_a_complete_record_leaves_nothing_to_ask(tmp_path: Path) -> None:
    votes = open_votes(tmp_path, [(0, [1] * 20)], 10)
    assert (votes.known, votes.backlog(10), len(votes.labels)) == (10, 0, 10)
    assert np.all(votes.labels == 1)
