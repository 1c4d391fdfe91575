from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from bbsmooth import progress
from bbsmooth.progress import meter


def test_lines_come_now_and_then_and_only_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with meter("certify", 2000, "queries") as bar:
        bar.advance(5)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with meter("certify", 2000, "queries") as bar:
        bar.advance(1000, "3 of 4 certified right")
        bar.advance(500)
    assert capsys.readouterr() == (
        "",
        "certify: 1,000 of 2,000 queries, 3 of 4 certified right\n"
        "certify: 1,500 of 2,000 queries, 3 of 4 certified right\n",
    )


def test_nobody_need_know_the_total(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with meter("predict", None, "queries") as bar:
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
