from __future__ import annotations

import json

import pytest

from bbsmooth.progress import meter as progress
from bbsmooth.progress.expected import ExpectedQueries
from bbsmooth.progress.meter import meter, showing
from oracles import Budget, Ledger, Purpose


class Told:
    """A meter that remembers what is expected."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.done = 0

    def advance(self, amount: int, note: str = "", facts: object = None) -> None:
        self.done += amount

    def expect(self, total: int | None) -> None:
        self.total = total


def ask(expected: ExpectedQueries, ledger: Ledger, queries: int) -> None:
    ledger.charge(queries, purpose=Purpose.ESTIMATE)
    expected.advance(queries)


@pytest.mark.parametrize("budget", [None, 60_000, 5_000])
def test_the_forecast_and_the_budget_count_and_the_caps_do_not(budget: int | None) -> None:
    """100 images of which each takes 400, with a cap of 10,100."""
    bar, ledger = Told(), Ledger(Budget(queries=budget))
    expected = ExpectedQueries(bar=bar, left=100, cap=10_100, fixed=False, spending=ledger)
    assert expected.total == budget  # nothing else is known
    ask(expected, ledger, 400)
    assert bar.total == budget
    for _ in range(9):
        expected.finish(400)
        assert bar.total == min(40_000, budget or 40_000)
        ask(expected, ledger, 400)
        assert bar.total == min(40_000, budget or 40_000)
    assert bar.done == 4_000


def test_draws_of_images_in_progress_are_not_expected_twice() -> None:
    """Round-robin: all images have their selections before the first one is finished."""
    bar, ledger = Told(), Ledger(Budget())
    expected = ExpectedQueries(bar=bar, left=10, cap=10_100, fixed=False, spending=ledger)
    ask(expected, ledger, 10 * 100)
    assert bar.total is None
    ask(expected, ledger, 50)
    expected.finish(150)
    assert bar.total == 1_500


def test_an_image_that_takes_far_more_is_never_more_than_all() -> None:
    bar, ledger = Told(), Ledger(Budget())
    expected = ExpectedQueries(bar=bar, left=2, cap=10_100, fixed=False, spending=ledger)
    ask(expected, ledger, 100)
    expected.finish(100)
    for _ in range(5):
        ask(expected, ledger, 1_000)
        assert bar.total is not None
        assert bar.total >= bar.done
    expected.finish(5_000)
    assert bar.total == bar.done == 5_100


def test_a_resumed_session_knows_from_the_start_and_recorded_answers_are_not_expected() -> None:
    bar, ledger = Told(), Ledger(Budget())
    expected = ExpectedQueries(bar=bar, left=3, cap=10_100, fixed=False, spending=ledger, finished=2, queries=600)
    assert expected.total == 900
    expected.finish(300)  # without a query: its answers were on record
    assert bar.total == 600


def test_where_each_image_takes_as_many_all_is_known() -> None:
    expected = ExpectedQueries(bar=Told(), left=10, cap=1_100, fixed=True, spending=Ledger(Budget()))
    assert expected.total == 11_000
    expected = ExpectedQueries(bar=Told(), left=10, cap=1_100, fixed=True, spending=Ledger(Budget(queries=2_500)))
    assert expected.total == 2_500


def test_machines_are_told_the_forecast(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_OBJECTS", 0.0)
    ledger = Ledger(Budget(queries=60_000))
    with showing("json"), meter("certify", None, "queries", spending=ledger) as bar:
        expected = ExpectedQueries(bar=bar, left=100, cap=10_100, fixed=False, spending=ledger)
        ask(expected, ledger, 300)
        expected.finish(300)
        ask(expected, ledger, 300)
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [each["total"] for each in told] == [None, 60_000, 30_000, 30_000]
    assert told[2]["seconds_left"] == pytest.approx(49 * told[2]["seconds"], abs=0.05)
