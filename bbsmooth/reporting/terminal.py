"""Tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import rich.table
from rich.console import Group

from bbsmooth.reporting.model import Cell, Column, Row, Table
from bbsmooth.reporting.text import render

WIDTH = 80
_GAP = 2
_HEAD = 24
"""Most signs of the first column where rows are shown as columns."""


def to_text(tables: Iterable[Table]) -> str:
    """Tables below each other, none wider than `WIDTH`: wide ones lie on their side, in several parts if need be."""
    return render([_shown(part) for table in tables for part in _parts(table)], WIDTH)


def _parts(table: Table) -> Iterator[Table]:
    if table.heading:
        yield from _grouped(table)
    elif _width(table.columns, table.rows) <= WIDTH:
        yield table
    else:
        yield from _sideways(table)


def _grouped(table: Table) -> Iterator[Table]:
    """A table for each group of rows with the same first cells, which stand in its title."""
    lead, rest = table.columns[: table.heading], table.columns[table.heading :]
    title = table.title
    for cells, rows in groupby(table.rows, key=lambda row: row[: table.heading]):
        named = ", ".join(f"{column.title} {cell.text}" for column, cell in zip(lead, cells, strict=True))
        own = tuple(row[table.heading :] for row in rows)
        yield Table(table.name, f"{title}: {named}", rest, own)


def _sideways(table: Table) -> Iterator[Table]:
    """Rows as columns, headed by their first cells, as many at once as fit."""
    head, *columns = table.columns
    turned = [
        (Column(str(number), row[0].text), [row[place] for place in range(1, len(table.columns))])
        for number, row in enumerate(table.rows)
    ]
    first = Column(head.name, head.title, numeric=False)
    titles = [Cell(column.title, column.title) for column in columns]
    used = min(_HEAD, max(len(cell.text) for cell in titles))
    for number, part in enumerate(_fitting(turned, WIDTH - used)):
        rows = tuple(zip(titles, *(cells for _, cells in part), strict=True))
        title = table.title if not number else f"{table.title}, continued"
        yield replace(table, title=title, columns=(first, *(column for column, _ in part)), rows=rows)


def _fitting(columns: Sequence[tuple[Column, list[Cell]]], most: int) -> Iterator[list[tuple[Column, list[Cell]]]]:
    part: list[tuple[Column, list[Cell]]] = []
    used = 0
    for column, cells in columns:
        width = _GAP + max(_longest_word(column.title), *(len(cell.text) for cell in cells))
        if part and used + width > most:
            yield part
            part, used = [], 0
        part.append((column, cells))
        used += width
    if part:
        yield part


def _width(columns: Sequence[Column], rows: Sequence[Row]) -> int:
    """Signs of a line, where titles are broken at spaces and cells are not."""
    return sum(
        _GAP + max([_longest_word(column.title), *(len(row[place].text) for row in rows)])
        for place, column in enumerate(columns)
    )


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _shown(table: Table) -> Group:
    """The title, which may be wider than the table, and the table."""
    shown = rich.table.Table(box=None, padding=(0, _GAP, 0, 0))
    for column in table.columns:
        shown.add_column(column.title, justify="right" if column.numeric else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(cell.text for cell in row))
    return Group(table.title, shown)
