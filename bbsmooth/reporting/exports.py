"""Tables as Markdown, TeX (booktabs), tab-separated values, JSON and text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import rich.table

from bbsmooth.reporting.escaping import markdown, spreadsheet, tex
from bbsmooth.reporting.model import Cell, Column, Document, Table, Value
from bbsmooth.reporting.text import render

_WIDE = 200
_MOST_COLUMNS = 9


def to_markdown(document: Document) -> str:
    """Title, lead, facts and tables."""
    parts = [f"# {markdown(document.title)}", markdown(document.lead)]
    parts += ["\n".join(f"- {markdown(fact.name)}: {markdown(fact.value)}" for fact in document.facts)]
    for section in document.sections:
        parts += [f"## {markdown(section.title)}", *map(markdown, section.words)]
        parts += [_markdown_table(table) for table in section.tables]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_tex(document: Document) -> str:
    """The tables, each in an environment of its own; they need the package booktabs."""
    tables = [_tex_table(table) for section in document.sections for table in section.tables]
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(tables) + "\n"


def to_tsv(table: Table) -> str:
    """A table with the names of its columns and full numbers."""
    rows: list[list[Value]] = [[name for column in table.columns for name in _names(column)]]
    rows += [list(_object(table.columns, row).values()) for row in table.rows]
    return "".join("\t".join(map(_tsv_cell, row)) + "\n" for row in rows)


def to_json(tables: Iterable[Table]) -> str:
    """One object: for each table a list of rows, each an object with full numbers."""
    return json.dumps({table.name: [_object(table.columns, row) for row in table.rows] for table in tables})


def to_text(tables: Iterable[Table]) -> str:
    """Tables for a terminal; wide ones lie on their side."""
    wide = (_sideways(table) if len(table.columns) > _MOST_COLUMNS else table for table in tables)
    return render([_text_table(table) for table in wide], _WIDE)


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


def _tex_table(table: Table) -> str:
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        _tex_row(column.title for column in table.columns),
        r"\midrule",
        *(_tex_row(cell.text for cell in row) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


def _tex_row(cells: Iterable[str]) -> str:
    return " & ".join(map(tex, cells)) + r" \\"


def _tsv_cell(value: Value) -> str:
    return "" if value is None else spreadsheet(value) if isinstance(value, str) else repr(value)


def _sideways(table: Table) -> Table:
    """Rows as columns, headed by their first cells."""
    head, *columns = table.columns
    rows = [
        (Cell(column.title, column.title), *(row[place] for row in table.rows))
        for place, column in enumerate(columns, 1)
    ]
    names = (Column(str(number), row[0].text) for number, row in enumerate(table.rows))
    return Table(table.name, table.title, (Column(head.name, head.title, numeric=False), *names), tuple(rows))


def _text_table(table: Table) -> rich.table.Table:
    shown = rich.table.Table(title=table.title, title_justify="left", box=None, padding=(0, 3, 0, 0))
    for column in table.columns:
        shown.add_column(column.title, justify="right" if column.numeric else "left")
    for row in table.rows:
        shown.add_row(*(cell.text for cell in row))
    return shown


def _object(columns: Sequence[Column], row: Sequence[Cell]) -> dict[str, Value]:
    """Column to number, with both ends of its interval where there is one."""
    return {
        name: value
        for column, cell in zip(columns, row, strict=True)
        for name, value in zip(_names(column), (cell.value, cell.low, cell.high), strict=False)
    }


def _names(column: Column) -> tuple[str, ...]:
    return (column.name, *(f"{column.name} {end}" for end in ("low", "high") if column.interval))
