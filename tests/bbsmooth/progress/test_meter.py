from __future__ import annotations

import io
import itertools
import json
import re
import time

import pytest
from rich.console import Console

from bbsmooth.errors import UsageError
from bbsmooth.progress import meter as progress
from bbsmooth.progress.meter import meter, showing
from oracles import Budget, Ledger, Purpose
from oracles.prices import read_prices
from oracles.usage import Metered, Usage


def test_lines_come_now_and_then_and_only_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with meter("certify", 2000, "queries") as bar:
        bar.advance(5)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with meter("certify", 2000, "queries") as bar:  # as a library, which prints nothing
        bar.advance(1000)
    assert capsys.readouterr() == ("", "")
    with showing("auto"), meter("certify", 2000, "queries") as bar:
        bar.advance(1000, "3 of 4 certified right")
        bar.advance(500)
    assert capsys.readouterr() == (
        "",
        "certify: 1,000 of 2,000 queries, 3 of 4 certified right\n"
        "certify: 1,500 of 2,000 queries, 3 of 4 certified right\n",
    )


def test_nobody_need_know_the_total(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with showing("auto"), meter("predict", None, "queries") as bar:
        bar.advance(7)
    assert capsys.readouterr().err == "predict: 7 queries\n"


@pytest.mark.parametrize("total", [1_010_000, None])
def test_a_bar_fits_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=screen, width=80, force_terminal=True))
    with meter("certify", total, "queries") as bar:
        bar.advance(750_000, "12 of 30 certified right")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    last = [line for line in re.split(r"[\r\n]", plain) if "12 of 30 certified right" in line][-1]
    assert f"750,000{' of 1,010,000' if total else ''} queries" in last


@pytest.mark.parametrize("total", [60_000, None])
def test_a_bar_shows_what_is_expected_now(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=screen, width=80, force_terminal=True))
    with meter("certify", 1_010_000, "queries") as bar:
        bar.advance(1_000)
        bar.expect(total)
        bar.advance(500, "1 of 2 certified right")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    last = [line for line in re.split(r"[\r\n]", plain) if "1 of 2 certified right" in line][-1]
    assert f"1,500{' of 60,000' if total else ''} queries" in last


def test_time_left_follows_what_is_expected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, tens = time.monotonic(), itertools.count(10, 10)
    monkeypatch.setattr(time, "monotonic", lambda: began + next(tens))
    with showing("auto"), meter("certify", None, "queries") as bar:
        bar.advance(100)
        bar.expect(400)
        bar.advance(100)
    unknown, known = capsys.readouterr().err.splitlines()
    assert unknown == "certify: 100 queries"
    assert re.fullmatch(r"certify: 200 of 400 queries, \d+ s to go", known)


def test_objects_tell_machines_everything(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_OBJECTS", 0.0)
    ledger = Ledger(Budget(queries=5000, price_per_1000=2.0))
    with showing("json"), meter("certify", 2000, "queries", spending=ledger) as bar:
        ledger.charge(500, purpose=Purpose.ESTIMATE)
        bar.advance(500)
        bar.advance(0, "3 of 4 certified right", {"images": 4, "certified_right": 3})
    out, err = capsys.readouterr()
    assert out == ""
    first, second, third, last = map(json.loads, err.splitlines())
    assert (first["done"], first["total"], first["seconds_left"], first["ends"]) == (0, 2000, None, None)
    assert (second["done"], second["queries_left"], second["price"]) == (500, 4500, 1.0)
    assert second["seconds_left"] == pytest.approx(3 * second["seconds"], abs=0.01)  # a quarter is done
    assert (third["note"], third["images"], third["certified_right"]) == ("3 of 4 certified right", 4, 3)
    assert last["done"] == 500  # told at the end, whatever ends it


def test_objects_also_tell_how_far_a_failed_task_came(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with showing("json"), meter("tune", None, "queries") as bar:
            bar.advance(7)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["done"] == 7


def test_nothing_is_shown_where_nothing_is_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with showing("none"), meter("certify", 10, "queries") as bar:
        bar.advance(5)
    assert capsys.readouterr() == ("", "")
    with showing("auto"), meter("certify", 10, "queries") as bar:  # only inside the block
        bar.advance(5)
    assert capsys.readouterr().err


def test_lines_say_what_is_left_and_what_was_paid(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    ledger = Ledger(Budget(queries=100, price_per_1000=50.0))
    with showing("auto"), meter("certify", 80, "queries", spending=ledger) as bar:
        ledger.charge(40, purpose=Purpose.SELECT)
        bar.advance(40)
    assert capsys.readouterr().err == "certify: 40 of 80 queries, 60 queries left, price 2.00\n"


def test_another_style_is_refused() -> None:
    with (
        pytest.raises(UsageError, match="`progress` must be one of auto, bars, json, none, got 'loud'"),
        showing("loud"),
    ):
        pass


def test_a_bill_is_told_with_the_most_that_it_can_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    prices = read_prices({"per_million_input_tokens": 1000, "max_input_tokens": 500})
    ledger = Ledger(Budget(prices=prices))
    ledger.charge(2, purpose=Purpose.ESTIMATE)
    ledger.traffic.told(Metered.of(Usage(120, 4)))
    with showing("auto"), meter("certify", None, "queries", spending=ledger) as bar:
        bar.advance(1)
        ledger.traffic.told(Metered.of(Usage(130, 4)))
        bar.advance(1)
    assert capsys.readouterr().err == (
        "certify: 1 queries, billed 0.12, at most 0.62\ncertify: 2 queries, billed 0.25\n"
    )
    with showing("json"), meter("certify", None, "queries", spending=ledger) as bar:
        bar.advance(1)
    found = json.loads(capsys.readouterr().err.splitlines()[0])
    assert (found["billed"], found["price"]) == (0.25, 0.25)
