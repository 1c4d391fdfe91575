"""Probing an oracle: what it is told to find is found, and the budget holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from oracles import AnswerError, Answers, Budget, Feedback, Oracle, ScriptedOracle
from oracles.probing import Probe, Rate
from tests.builders import SHAPE, ConstantOracle, WatchedOracle, halfspace, spec


def probe(oracle: Oracle, queries: int = 1000) -> Probe:
    return Probe(oracle, SHAPE, Budget(queries=queries), torch.Generator().manual_seed(0))


class Sloppy:
    """Its scores depend on how many images are asked about at once."""

    spec = spec(2)

    def query(self, images: Tensor) -> Answers:
        scores = torch.tensor([0.25, 0.75]).repeat(len(images), 1) + 0.0625 * (len(images) > 1)
        return Answers.from_scores(scores, self.spec, images=len(images))


def test_an_oracle_that_repeats_itself() -> None:
    found = probe(halfspace()).repetition()
    assert (found.twice, found.in_batch, found.same_labels, found.largest_difference) == (True, True, True, 0)
    alone = probe(ConstantOracle(spec(3, feedback=Feedback.LABELS, max_batch=1))).repetition()
    assert (alone.twice, alone.in_batch, alone.same_labels, alone.largest_difference) == (True, None, True, 0)


def test_an_oracle_whose_scores_depend_on_the_batch() -> None:
    found = probe(Sloppy()).repetition()
    assert (found.twice, found.in_batch, found.same_labels, found.largest_difference) == (True, False, True, 0.0625)


@pytest.mark.parametrize(("script", "in_batch"), [([0, 1, 0, 0, 0, 0], False), ([0, 0, 0, 0, 0, 1], False)])
def test_an_oracle_that_changes_its_mind(script: list[int], in_batch: bool) -> None:
    found = probe(ScriptedOracle(script, num_classes=2)).repetition()
    assert (found.twice, found.in_batch, found.same_labels) == (script[0] == script[1], in_batch, False)
    assert found.largest_difference == 1


@pytest.mark.parametrize("queries", [0, 1, 2, 7, 8, 9, 20, 64, 100, 137, 250])
def test_no_search_spends_more_than_its_budget(queries: int) -> None:
    watched = WatchedOracle(halfspace())
    probed = probe(watched, queries)
    rates = probed.rates()
    assert sum(watched.batches) == probed.ledger.total <= queries
    assert (rates.best is None) == (queries == 0)


@dataclass
class Clocked:
    """Takes a second for up to 64 images, and as much again for each 64 more; fails on more than `most` images."""

    clock: list[float]
    most: int = 1000
    spec: ClassVar = spec(2)

    def query(self, images: Tensor) -> Answers:
        self.clock[0] += -(-len(images) // 64)
        if len(images) > self.most:
            raise AnswerError("too many images")
        return Answers(torch.zeros(len(images), dtype=torch.int64))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [0.0]
    monkeypatch.setattr("oracles.probing.time.perf_counter", lambda: seconds[0])
    return seconds


def test_batches_grow_while_that_is_worth_it(clock: list[float]) -> None:
    rates = probe(Clocked(clock), 10_000).rates()
    ways = [(rate.batch_size, rate.concurrency, rate.images_per_second) for rate in rates.measured]
    assert ways == [(1, 1, 1), (8, 1, 8), (64, 1, 64), (256, 1, 64), (64, 2, 64)]
    assert rates.best == Rate(batch_size=64, concurrency=1, images_per_second=64)
    assert not rates.cut_short


def test_a_search_that_the_budget_ends_says_so(clock: list[float]) -> None:
    rates = probe(Clocked(clock), 100).rates()
    assert [(rate.batch_size, rate.concurrency) for rate in rates.measured] == [(1, 1), (8, 1), (64, 1)]
    assert rates.cut_short


def test_a_batch_that_fails_ends_the_search_for_larger_ones(clock: list[float]) -> None:
    rates = probe(Clocked(clock, most=8), 10_000).rates()
    assert [(rate.batch_size, rate.concurrency) for rate in rates.measured] == [(1, 1), (8, 1), (64, 1), (8, 2)]
    assert (rates.measured[2].images_per_second, rates.measured[2].failure) == (None, "too many images")
    assert rates.best == Rate(batch_size=8, concurrency=1, images_per_second=8)


def test_no_batch_is_larger_than_the_oracle_takes() -> None:
    watched = WatchedOracle(ConstantOracle(spec(3, max_batch=5)))
    rates = probe(watched).rates()
    assert max(watched.batches) == 5
    assert {rate.batch_size for rate in rates.measured} <= {1, 5}


def test_latency_is_that_of_single_images() -> None:
    watched = WatchedOracle(halfspace())
    assert probe(watched).latency() > 0
    assert watched.batches == [1, 1, 1, 1]
    assert len(watched.answered) == 4
