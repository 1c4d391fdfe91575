"""Tables for a paper: LaTeX with booktabs, each a float with a caption that fits the text width of an article."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bbsmooth.reporting.escaping import tex
from bbsmooth.reporting.model import NOT_ASKED, Cell, Column, Document, Row, Table
from bbsmooth.runs.certificates import CONFIDENCE

_TEXT_WIDTH = 345.0
"""Of the class article at 10 pt, in points."""

_SIGN, _SMALL_SIGN, _GAP = 4.7, 3.7, 8.0
"""Widths in points at the size \\small: of a sign, of a sign in an index, between columns."""

_LONGEST = 30  # signs of a text before it is broken
_MOST_ROWS = 40
_HOUSEKEEPING = ("made_by", "seconds")
_LEVEL = f"{100 * CONFIDENCE:g}"
_POWER = re.compile(r"(\d)e-0*(\d+)")
_BETWEEN = re.compile(r"(?P<value>\S+)(?: %)? \((?P<low>\S+) to (?P<high>\S+)\)")


def to_tex(document: Document, *, compact: bool = False) -> str:
    """The tables of a document; they need the package booktabs.

    Args:
        document: with tables.
        compact: whether what all rows have in common moves into the caption.
    """
    tables = [table for section in document.sections for table in section.tables]
    floats = [text for table in tables for text in _floats(*(_compact(table) if compact else (table, "")))]
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(floats) + "\n"


def _compact(table: Table) -> tuple[Table, str]:
    """The table without columns whose cells are all the same, and what these say."""
    same = [
        place
        for place, column in enumerate(table.columns)
        if place and len(table.rows) > 1 and not column.interval and len({row[place].text for row in table.rows}) == 1
    ]
    kept = [
        place for place, column in enumerate(table.columns) if place not in same and column.name not in _HOUSEKEEPING
    ]
    same = [place for place in same if table.columns[place].name not in _HOUSEKEEPING]
    said = "; ".join(f"{tex(table.columns[place].title)} {tex(table.rows[0][place].text)}" for place in same)
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[place] for place in kept), rows=rows), said


def _floats(table: Table, common: str) -> Iterator[str]:
    parts = [
        (columns, tuple(tuple(row[place] for place in columns) for row in rows))
        for rows in (table.rows[first : first + _MOST_ROWS] for first in range(0, len(table.rows) or 1, _MOST_ROWS))
        for columns in _columns(table)
    ]
    for number, (columns, rows) in enumerate(parts):
        said = [tex(table.title) + (", continued" if number else "")]
        if any(_BETWEEN.fullmatch(cell.text) for row in rows for cell in row):
            said.append(rf"Shares and differences in percent, with the ends of the {_LEVEL}\,\% interval as indices")
        if common and not number:
            said.append(f"In all rows: {common}")
        label = f"tab:bbsmooth-{table.name}{f'-{number + 1}' if number else ''}"
        yield _float([table.columns[place] for place in columns], rows, ". ".join(said), label)


def _columns(table: Table) -> list[list[int]]:
    """The places of columns that fit beside the first, for each of the tables that it takes."""
    widths = [
        _GAP + max([_line_width(column), *(_cell_width(row[place]) for row in table.rows)])
        for place, column in enumerate(table.columns)
    ]
    parts, used = [[0]], widths[0]
    for place, width in enumerate(widths[1:], 1):
        if used + width > _TEXT_WIDTH and len(parts[-1]) > 1:
            parts.append([0])
            used = widths[0]
        parts[-1].append(place)
        used += width
    return parts


def _float(columns: Sequence[Column], rows: Sequence[Row], caption: str, label: str) -> str:
    broken = [any(len(row[place].text) > _LONGEST for row in rows) for place in range(len(columns))]
    wide = rf"p{{{_LONGEST * _SIGN:.0f}pt}}"
    alignment = "".join(
        wide if long else "r" if column.numeric else "l" for column, long in zip(columns, broken, strict=True)
    )
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{caption}.}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
            r"\toprule",
            " & ".join(map(_title, columns)) + r" \\",
            r"\midrule",
            *(" & ".join(map(_cell, row)) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _title(column: Column) -> str:
    lines = _lines(column)
    if len(lines) == 1:
        return tex(lines[0])
    stacked = r"\\".join(map(tex, lines))
    return rf"\shortstack[{'r' if column.numeric else 'l'}]{{{stacked}}}"


def _lines(column: Column) -> list[str]:
    """The title, broken at spaces where a line would be longer than a number."""
    lines: list[str] = []
    for word in column.title.split():
        if lines and len(lines[-1]) + len(word) < 12:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _line_width(column: Column) -> float:
    return _SIGN * max(map(len, _lines(column)))


def _cell(cell: Cell) -> str:
    if cell is NOT_ASKED:
        return "--"
    if found := _BETWEEN.fullmatch(cell.text):
        return f"${tex(found['value'])}_{{{tex(found['low'])}}}^{{{tex(found['high'])}}}$"
    if found := _POWER.fullmatch(cell.text):
        return rf"${found[1]}\cdot10^{{-{found[2]}}}$"
    text = tex(cell.text).replace(r" \%", r"\,\%")
    if len(cell.text) > _LONGEST:
        return re.sub(r"(/|\\_|-)", r"\1\\allowbreak{}", text)
    return text


def _cell_width(cell: Cell) -> float:
    if found := _BETWEEN.fullmatch(cell.text):
        return _SIGN * len(found["value"]) + _SMALL_SIGN * max(len(found["low"]), len(found["high"]))
    return _SIGN * min(len(cell.text), _LONGEST)
