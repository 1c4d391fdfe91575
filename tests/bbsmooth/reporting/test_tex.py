"""Tables for a paper: booktabs, text that stays text, and no line beyond the text width."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bbsmooth.reporting import comparison
from bbsmooth.reporting.model import NOT_ASKED, Cell, Column, Document, Section, Table
from bbsmooth.reporting.tex import to_tex
from bbsmooth.runs.reading import Run, read_run
from tests.bbsmooth.reporting.worlds import certified, cut, sequential

HOSTILE = "=cmd|' /C calc'!A0\t\\input{x} $ 100% a_b #1 {~^} & end"
COLUMNS = (Column("name", "name", numeric=False), Column("share", "share", interval=True), Column("n", "n"))


def document(*rows: tuple[Cell, ...], columns: tuple[Column, ...] = COLUMNS) -> Document:
    return Document("Title", "Lead", (), (Section("s", "S", tables=(Table("t", "Title & more", columns, rows),)),))


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    names = ("denoised_and_tuned", "bare", "a/folder name with spaces that is longer than any line of a table")
    paths = [certified(tmp_path, name=name.replace("/", "-"), seed=seed) for seed, name in enumerate(names)]
    paths += [sequential(tmp_path, 0.25, name="sequential", seed=4), cut(certified(tmp_path, name="part", seed=5), 20)]
    return [read_run(path) for path in paths]


def test_it_is_a_booktabs_table() -> None:
    text = to_tex(document((Cell(HOSTILE, HOSTILE), Cell("91.7 % (60.0 to 99.0)", 0.917, 0.6, 0.99), Cell("-5", -5))))
    assert r"\begin{tabular}{@{}p{141pt}rr@{}}" in text
    assert r"$91.7_{60.0}^{99.0}$" in text
    assert "\\input" not in text
    assert r"\caption{Title \& more. Shares" in text
    rows = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {2}


def test_a_dash_stands_where_a_run_was_not_asked() -> None:
    assert r"a & -- & 1 \\" in to_tex(document((Cell("a", "a"), NOT_ASKED, Cell("1", 1))))


def test_what_all_rows_share_stands_in_the_caption() -> None:
    rows = [(Cell(name, name), Cell("50.0 %", 0.5), Cell("7", 7)) for name in "ab"]
    assert r"In all rows: n 7.}" in to_tex(document(*rows), compact=True)
    assert r"a & 50.0\,\% & 7 \\" in to_tex(document(*rows))


def test_more_columns_than_fit_make_a_second_table() -> None:
    columns = (Column("run", "run", numeric=False), *(Column(f"c{n}", f"column {n}") for n in range(20)))
    rows = [(Cell(name, name), *(Cell(f"{n}.{name}", n) for n in range(20))) for name in ("1000", "2000")]
    text = to_tex(document(*rows, columns=columns))
    assert text.count(r"\begin{tabular}") > 1
    assert all(f"{n}.1000" in text for n in range(20))
    assert text.count("\n1000 & ") == text.count(r"\begin{tabular}")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_sets_a_comparison_within_the_text_width(runs: list[Run], tmp_path: Path) -> None:
    choices = (
        comparison.ALL,
        comparison.ComparisonView(baseline=runs[1].path, columns=("accuracy", "acr", "queries", "price")),
    )
    for choice in choices:
        (tmp_path / "t.tex").write_text(to_tex(comparison.document(runs, choice), compact=not choice.columns))
        (tmp_path / "m.tex").write_text(
            r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{t.tex}\end{document}"
        )
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "m.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Overfull" not in done.stdout
