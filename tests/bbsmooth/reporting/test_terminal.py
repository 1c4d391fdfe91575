"""Tables for a terminal fit into 80 columns, whatever they hold."""

from __future__ import annotations

from pathlib import Path

from bbsmooth.reporting import comparison
from bbsmooth.reporting.model import Cell, Column, Table
from bbsmooth.reporting.terminal import WIDTH, to_text
from bbsmooth.runs.reading import read_run
from tests.bbsmooth.reporting.worlds import certified


def test_many_columns_lie_on_their_side() -> None:
    columns, row = zip(*((Column(f"c{i}", f"c{i}"), Cell(f"value-{i:04}", i)) for i in range(12)), strict=True)
    lines = to_text([Table("w", "W", columns, (row,))]).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["c0", "value-0000"],
        *([f"c{i}", f"value-{i:04}"] for i in range(1, 12)),
    ]


def test_a_comparison_fits_into_eighty_columns(tmp_path: Path) -> None:
    names = [f"a-run-with-a-rather-long-name-that-says-everything-number-{number}" for number in range(5)]
    runs = [read_run(certified(tmp_path, name=name, seed=seed)) for seed, name in enumerate(names)]
    tables = [table for section in comparison.document(runs).sections for table in section.tables]
    text = to_text(tables)
    assert max(map(len, text.splitlines())) <= WIDTH
    flat = "".join(text.split())
    assert all(name in flat for name in names)
    (first, *_), *_ = (table.rows for table in tables)
    assert all("".join(cell.text.split()) in flat for cell in first)


def test_rows_of_one_pair_stand_below_its_names() -> None:
    columns = (Column("one", "one", numeric=False), Column("n", "n"))
    rows = tuple((Cell(name, name), Cell(str(n), n)) for name, n in (("a", 1), ("a", 2), ("b", 3)))
    text = to_text([Table("t", "T", columns, rows, heading=1)])
    assert [line.split() for line in text.splitlines() if line] == [
        ["T:", "one", "a"],
        ["n"],
        ["1"],
        ["2"],
        ["T:", "one", "b"],
        ["n"],
        ["3"],
    ]
