"""Tables as Markdown, tab-separated values and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from bbsmooth.reporting.escaping import markdown, spreadsheet
from bbsmooth.reporting.model import Cell, Column, Document, Table, Value


def to_markdown(document: Document) -> str:
    """Title, lead, facts and tables."""
    parts = [f"# {markdown(document.title)}", markdown(document.lead)]
    parts += ["\n".join(f"- {markdown(fact.name)}: {markdown(fact.value)}" for fact in document.facts)]
    for section in document.sections:
        parts += [f"## {markdown(section.title)}", *map(markdown, section.words)]
        parts += [_markdown_table(table) for table in section.tables]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_tsv(table: Table) -> str:
    """A table with the names of its columns and full numbers."""
    rows: list[list[Value]] = [[name for column in table.columns for name in _names(column)]]
    rows += [list(_object(table.columns, row).values()) for row in table.rows]
    return "".join("\t".join(map(_tsv_cell, row)) + "\n" for row in rows)


def to_json(tables: Iterable[Table], names: Iterable[str] = ()) -> str:
    """One object: for each table a list of rows, each an object with full numbers.

    Args:
        tables: with different names.
        names: of tables whose list is empty where they are not there.
    """
    found = {table.name: [_object(table.columns, row) for row in table.rows] for table in tables}
    return json.dumps(found | {name: [] for name in names if name not in found})


def _markdown_table(table: Table) -> str:
    lines = [
        _markdown_row(markdown(column.title) or " " for column in table.columns),
        _markdown_row("---:" if column.numeric else "---" for column in table.columns),
    ]
    lines += [_markdown_row(_markdown_cell(cell) for cell in row) for row in table.rows]
    return "\n".join(lines)


def _markdown_cell(cell: Cell) -> str:
    return markdown(cell.text) if isinstance(cell.value, str) else cell.text


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _tsv_cell(value: Value) -> str:
    return "" if value is None else spreadsheet(value) if isinstance(value, str) else repr(value)


def _object(columns: Sequence[Column], row: Sequence[Cell]) -> dict[str, Value]:
    """Column to number, with both ends of its interval where there is one."""
    return {
        name: value
        for column, cell in zip(columns, row, strict=True)
        for name, value in zip(_names(column), (cell.value, cell.low, cell.high), strict=False)
    }


def _names(column: Column) -> tuple[str, ...]:
    return (column.name, *(f"{column.name} {end}" for end in ("low", "high") if column.interval))
