"""Tables in every form hold the same numbers, and text in them stays text."""

from __future__ import annotations

import csv
import json
import re

from bbsmooth.reporting import exports
from bbsmooth.reporting.model import EMPTY, Cell, Column, Document, Fact, Section, Table

HOSTILE = "=cmd|' /C calc'!A0\t<img src=x onerror=alert(1)> \\input{x} $"
COLUMNS = (Column("name", "name", numeric=False), Column("share", "share", interval=True), Column("n", "n"))
ROWS = ((Cell(HOSTILE, HOSTILE), Cell("91.7 %", 11 / 12, 0.6, 0.99), Cell("-5", -5)), (Cell("b", "b"), EMPTY, EMPTY))
TABLE = Table("t", "Title", COLUMNS, ROWS)
DOCUMENT = Document("Title", "Lead & <b>", (Fact("f", "v"),), (Section("s", "Section", ("Words.",), tables=(TABLE,)),))


def test_tab_separated_values_have_all_digits() -> None:
    first, second = csv.DictReader(exports.to_tsv(TABLE).splitlines(), delimiter="\t")
    assert (float(first["share"]), float(first["share low"]), float(first["share high"])) == (11 / 12, 0.6, 0.99)
    assert first["n"] == "-5"  # a number, not a formula
    assert first["name"].startswith("'=cmd")
    assert (second["share"], second["n"]) == ("", "")


def test_json_has_all_digits() -> None:
    rows = json.loads(exports.to_json([TABLE]))["t"]
    assert rows[0] == {"name": HOSTILE, "share": 11 / 12, "share low": 0.6, "share high": 0.99, "n": -5}
    assert rows[1]["share"] is None


def test_markdown_is_a_table_with_as_many_cells_in_each_row() -> None:
    text = exports.to_markdown(DOCUMENT)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert "<" not in text
    assert lines[1] == "| --- | ---: | ---: |"
