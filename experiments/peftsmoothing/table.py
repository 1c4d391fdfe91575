"""The result of a study as a table, in three forms from the same JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bbsmooth.reporting.exports import to_markdown
from bbsmooth.reporting.model import EMPTY, Cell, Column, Document, Section, Table
from bbsmooth.reporting.numbers import count, percent, points
from bbsmooth.reporting.page import page
from bbsmooth.reporting.tex import to_tex

Record = dict[str, Any]


def write_tables(path: Path) -> None:
    """Write the tables of a result in three forms beside it."""
    report = document(json.loads(path.read_text()))
    path.with_suffix(".md").write_text(to_markdown(report))
    path.with_suffix(".tex").write_text(to_tex(report))
    path.with_suffix(".html").write_bytes(page(report))


def document(result: Record) -> Document:
    """The result as a report with one table, and one of differences where there is a row to compare with."""
    tables = [_table(result)]
    if any("difference" in row for row in result["rows"]):
        tables.append(_differences(result))
    sections = tuple(Section(table.name, table.title, tables=(table,)) for table in tables)
    return Document(result["title"], _lead(result), (), sections)


def _lead(result: Record) -> str:
    scale, rows = result["scale"], result["rows"]
    seeds = max(len(row["seeds"]) for row in rows)
    words = f"{scale['model']}, {scale.get('data_name', scale['data'])}."
    if seeds > 1:
        words += f" Mean of up to {seeds} seeds ± their standard deviation."
    if "images" in rows[0]:
        votes = "" if "queries_per_image" in result["columns"] else f" with {scale['n']:,} votes each"
        words += (
            f" Certified accuracy of {rows[0]['images']} images{votes}, in brackets the "
            f"{100 * result['confidence']:.0f} % interval over images."
        )
    if any(row.get("attacked") for row in rows):
        words += (
            f" Attacked: accuracy of {scale['attacked']} of these images under attack, in brackets their certified one."
        )
    if "trained_parameters" in result["columns"] and any(not row["trained_parameters"] for row in rows):
        words += " Trained parameters: those of a coordinator, which stands before the classifier, are not among them."
    draws = count(scale["draws"], "draw")
    return f"{words} Clean and noisy: accuracy of {scale['judged']:,} images, {draws} of noise each."


@dataclass(frozen=True, slots=True)
class _Written:
    """A column, and how its cell is written."""

    column: Column
    cell: Callable[[Record], Cell]


def _table(result: Record) -> Table:
    uneven = len({len(row["seeds"]) for row in result["rows"]}) > 1
    names = ("sigma", "name", *(["seeds"] if uneven else []), *result["columns"])
    columns = [item for name in names for item in _written(name, result["rows"])]
    rows = tuple(tuple(item.cell(row) for item in columns) for row in result["rows"])
    return Table("results", "Results", tuple(item.column for item in columns), rows, True)


def _written(name: str, rows: Sequence[Record]) -> Iterator[_Written]:
    """The columns of a name in a study's file."""
    match name:
        case "sigma":
            yield _Written(Column(name, name), lambda row: Cell(f"{row['sigma']:g}", row["sigma"]))
        case "name":
            yield _Written(Column(name, "method", numeric=False), lambda row: Cell(row["name"], row["name"]))
        case "seeds":
            yield _Written(Column(name, name), lambda row: Cell(str(len(row["seeds"])), len(row["seeds"])))
        case "trained_parameters":
            yield _Written(Column(name, "trained parameters"), _parameters)
        case "clean_accuracy" | "noisy_accuracy":
            title = name.partition("_")[0]
            yield _Written(Column(name, title), lambda row: _with_spread(row[name]))
        case "certified":
            for place, one in enumerate(rows[0][name]):
                column = Column(f"certified_{one['radius']:g}", f"r = {one['radius']:g}", interval=True)
                yield _Written(column, partial(_certified, place))
        case "acr":
            yield _Written(Column(name, "ACR"), _radius)
        case "attacked":
            for place, one in enumerate(next((row[name] for row in rows if row[name]), [])):
                column = Column(f"attacked_{one['radius']:g}", f"attacked, r = {one['radius']:g}")
                yield _Written(column, partial(_under_attack, place))
        case _:
            title, form = _PLAIN[name]
            yield _Written(Column(name, title), lambda row: Cell(form.format(row[name]), row[name]))


_PLAIN = {
    "oracle_queries": ("oracle queries", "{:,.0f}"),
    "training_seconds": ("training, s", "{:,.0f}"),
    "queries_per_image": ("queries an image", "{:,.0f}"),
    "seconds_per_image": ("s an image", "{:.3f}"),
    "peak_memory_bytes": ("memory, bytes", "{:,}"),
}


def _parameters(row: Record) -> Cell:
    number = row["trained_parameters"]
    return Cell(f"{number:,} ({percent(row['share_of_parameters'])})" if number else "0", number)


def _with_spread(one: Record) -> Cell:
    spread = "" if one["deviation"] is None else f" ± {100 * one['deviation']:.1f}"
    return Cell(f"{100 * one['mean']:.1f}{spread} %", one["mean"])


def _certified(place: int, row: Record) -> Cell:
    one = row["certified"][place]
    spread = "" if one["deviation"] is None else f" ± {100 * one['deviation']:.1f}"
    text = f"{100 * one['mean']:.1f}{spread} % ({100 * one['low']:.1f} to {100 * one['high']:.1f})"
    return Cell(text, one["mean"], one["low"], one["high"])


def _radius(row: Record) -> Cell:
    spread = "" if row["acr"]["deviation"] is None else f" ± {row['acr']['deviation']:.3f}"
    return Cell(f"{row['acr']['mean']:.3f}{spread}", row["acr"]["mean"])


def _under_attack(place: int, row: Record) -> Cell:
    if not row["attacked"]:
        return EMPTY
    one = row["attacked"][place]
    return Cell(f"{percent(one['empirical'])} ({percent(one['certified'])})", one["empirical"])


def _differences(result: Record) -> Table:
    """Percentage points more than the row of reference, ± the standard error over images."""
    rows = [row for row in result["rows"] if "difference" in row]
    radii = [one["radius"] for one in rows[0]["difference"].get("certified", [])]
    columns = (
        Column("sigma", "sigma"),
        Column("name", "method", numeric=False),
        Column("noisy_accuracy", "noisy"),
        *(Column(f"certified_{radius:g}", f"r = {radius:g}") for radius in radii),
    )
    cells = tuple(
        (
            Cell(f"{row['sigma']:g}", row["sigma"]),
            Cell(row["name"], row["name"]),
            *(_points(one) for one in (row["difference"]["noisy_accuracy"], *row["difference"].get("certified", []))),
        )
        for row in rows
    )
    title = f"Points more than {result['reference']}, on the same images, ± standard error over images"
    return Table("differences", title, columns, cells, True)


def _points(one: Record) -> Cell:
    return Cell(f"{points(one['mean'])} ± {100 * one['error']:.1f}", one["mean"])
