"""The size of batches that a server takes, learned from refusals of a fake one and of one behind HTTP."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from oracles import Answers, Budget, ImageRefused, Ledger, MeteredOracle, OracleSpec, Purpose
from oracles.chunking import HalvingOracle
from oracles.errors import BatchRefused, OracleError
from oracles.remote.batch_limit import BatchLimit, BatchLimitOracle
from tests.builders import pictures, spec


@dataclass
class Limited:
    """Takes `most` images at once, and never those that are in `bad`."""

    most: int
    bad: list[Tensor] = field(default_factory=list)
    unanswered: bool = True
    asked: list[int] = field(default_factory=list)
    spec: OracleSpec = field(default_factory=lambda: spec(2, name="server", image_shape=(1, 4, 4)))

    def query(self, images: Tensor) -> Answers:
        self.asked.append(len(images))
        bad = any(bool((image == other).all()) for image in images for other in self.bad)
        if len(images) > self.most or bad:
            error: OracleError = BatchRefused("400", unanswered=self.unanswered)
            raise error if len(images) > 1 else ImageRefused("400")
        return Answers(torch.ones(len(images), dtype=torch.int64))


def around(server: Limited, limit: BatchLimit) -> tuple[HalvingOracle, Ledger]:
    ledger = Ledger(Budget())
    metered = MeteredOracle(server, ledger, Purpose.ESTIMATE, attempts=1)
    refund = lambda count: ledger.refund(count, purpose=Purpose.ESTIMATE)  # noqa: E731
    return HalvingOracle(BatchLimitOracle(metered, limit, refund)), ledger


@pytest.mark.parametrize("most", [1, 3, 5, 8, 31])
def test_a_limit_is_learned_once_and_costs_no_query(most: int, caplog: pytest.LogCaptureFixture) -> None:
    server, told = Limited(most), list[int]()
    oracle, ledger = around(server, BatchLimit("server", told.append))
    with caplog.at_level(logging.WARNING, "bbsmooth"):
        for seed in range(10):
            assert len(oracle.query(pictures(32, seed=seed))) == 32
    assert ledger.total == 320
    largest = max(size for size in (32, 16, 8, 4, 2, 1) if size <= most)
    assert told == [largest]
    assert [size for size in server.asked if size > most] == [size for size in (32, 16, 8, 4, 2) if size > most]
    assert len([record for record in caplog.records if "at a time" in record.getMessage()]) == 1


def test_an_image_that_is_refused_alone_is_no_limit_and_is_charged() -> None:
    images = pictures(8, seed=1)
    server, limit = Limited(100, bad=[images[5]]), BatchLimit("server")
    oracle, ledger = around(server, limit)
    with pytest.raises(ImageRefused):
        oracle.query(images)
    assert limit.largest is None
    assert ledger.total == sum(server.asked), "nothing proves that the server computed nothing"


def test_a_batch_that_was_lost_rather_than_refused_stays_charged() -> None:
    server, limit = Limited(4, unanswered=False), BatchLimit("server")
    oracle, ledger = around(server, limit)
    oracle.query(pictures(8, seed=1))
    assert (limit.largest, ledger.total) == (None, 16), "it may have been bad luck"
    oracle.query(pictures(8, seed=2))
    assert (limit.largest, ledger.total) == (4, 32)
    oracle.query(pictures(8, seed=3))
    assert ledger.total == 40


def test_batches_that_are_lost_now_and_then_teach_no_limit() -> None:
    server, limit = Limited(8, unanswered=False), BatchLimit("server")
    oracle, _ = around(server, limit)
    for seed in range(6):
        server.most = 4 if seed % 2 else 8
        oracle.query(pictures(8, seed=seed))
    assert limit.largest is None


def test_a_limit_that_falls_later_is_learned_again() -> None:
    server, limit = Limited(8), BatchLimit("server")
    oracle, ledger = around(server, limit)
    oracle.query(pictures(32, seed=1))
    server.most = 3
    oracle.query(pictures(32, seed=2))
    assert (limit.largest, ledger.total) == (2, 64)
