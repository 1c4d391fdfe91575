from collections.abc import Callable

import pytest
import torch

from oracles import (
    AnswerError,
    Budget,
    BudgetExhausted,
    Ledger,
    MeteredOracle,
    OracleUnavailable,
    Purpose,
    ShapeError,
    StorageError,
    Unanswered,
)
from tests.builders import WatchedOracle, halfspace, pictures


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_query_is_one_image_and_is_charged_before_it_is_sent() -> None:
    ledger, charged = Ledger(Budget(queries=10)), []
    inner = WatchedOracle(halfspace(), before=lambda: charged.append(ledger.total))
    oracle = MeteredOracle(inner, ledger, Purpose.TUNE)
    oracle.query(pictures(3, seed=1))
    oracle.query(pictures(2, seed=2))
    assert charged == [3, 5]
    assert ledger.spent[Purpose.TUNE] == 5


def test_a_batch_that_does_not_fit_is_not_sent_at_all() -> None:
    ledger, inner = Ledger(Budget(queries=4)), WatchedOracle(halfspace())
    with pytest.raises(BudgetExhausted):
        MeteredOracle(inner, ledger, Purpose.TUNE).query(pictures(5, seed=1))
    assert (ledger.total, inner.batches) == (0, [])


def test_images_that_the_oracle_cannot_take_cost_nothing() -> None:
    ledger = Ledger(Budget(queries=4))
    with pytest.raises(ShapeError):
        MeteredOracle(halfspace(), ledger, Purpose.TUNE).query(torch.zeros(1, 3, 9, 9))
    assert ledger.total == 0


@pytest.mark.parametrize("error", [OracleUnavailable("gone"), AnswerError("what?"), RuntimeError("bug"), KeyError("k")])
def test_a_failure_after_sending_stays_charged(error: Exception) -> None:
    ledger = Ledger(Budget(queries=10))
    oracle = MeteredOracle(WatchedOracle(halfspace(), before=failing(error)), ledger, Purpose.TUNE)
    with pytest.raises(type(error)):
        oracle.query(pictures(3, seed=1))
    assert ledger.total == 3


def test_what_was_provably_not_answered_is_not_charged() -> None:
    ledger = Ledger(Budget(queries=3))
    inner = WatchedOracle(halfspace(), before=failing(Unanswered("refused")))
    oracle = MeteredOracle(inner, ledger, Purpose.TUNE)
    for _ in range(5):
        with pytest.raises(Unanswered):
            oracle.query(pictures(3, seed=1))
    assert ledger.total == 0
    inner.before = lambda: None
    assert len(oracle.query(pictures(3, seed=1))) == 3


def test_requests_are_counted_beside_queries_and_never_refunded() -> None:
    ledger = Ledger(Budget(attempts=2))
    inner = WatchedOracle(halfspace(), before=failing(Unanswered("429")))
    oracle = MeteredOracle(inner, ledger, Purpose.TUNE, attempts=1)
    for _ in range(2):
        with pytest.raises(Unanswered):
            oracle.query(pictures(3, seed=1))
    with pytest.raises(BudgetExhausted, match="1 more requests"):
        oracle.query(pictures(3, seed=1))
    assert (ledger.total, ledger.attempts) == (0, 2)


def test_nothing_is_sent_if_the_charge_cannot_be_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, inner = Ledger(Budget(queries=10)), WatchedOracle(halfspace())
    monkeypatch.setattr(ledger, "_write", failing(StorageError("full")))
    with pytest.raises(StorageError):
        MeteredOracle(inner, ledger, Purpose.TUNE).query(pictures(3, seed=1))
    assert (ledger.total, inner.batches) == (0, [])
