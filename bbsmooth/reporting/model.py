"""Data model of reports: facts, tables and charts whose numbers are final."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Value = str | int | float | None


class Fact(NamedTuple):
    """One line that says what something is."""

    name: str
    value: str


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: for people.
        value: for machines and for sorting; None where there is nothing to say.
        low: lower end of the interval around the value, where there is one.
        high: upper end.
    """

    text: str
    value: Value
    low: float | None = None
    high: float | None = None


Row = tuple[Cell, ...]

EMPTY = Cell("", None)

NOT_ASKED = Cell("-", None)
"""Stands where a run cannot say anything: it was not asked, or the images that it has are no sample of all."""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column.

    Attributes:
        name: for machines, unique in its table.
        title: for people.
        numeric: whether its cells are numbers.
        interval: whether they have intervals.
    """

    name: str
    title: str
    numeric: bool = True
    interval: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, each as long as `columns`.

    Attributes:
        sortable: whether the order of the rows says nothing, so that readers may choose theirs.
        heading: how many columns, from the first, may stand above the rows that have them in common.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    sortable: bool = False
    heading: int = 0


class Point(NamedTuple):
    """A point of a line, with the interval around it where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a chart.

    Attributes:
        title: with the unit.
        percent: whether its numbers are shares.
        whole: whether its numbers are counts.
    """

    title: str
    percent: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points.

    Attributes:
        name: what it shows.
        points: from left to right.
        marks: points whose numbers are told where the reader asks for them.
        steps: whether each value holds back to the point before it; else points are joined straight.
        apart: whether nothing is known between the points, so that they are not joined and only their intervals drawn.
    """

    name: str
    points: tuple[Point, ...]
    marks: tuple[Point, ...]
    steps: bool
    apart: bool = False


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over common axes."""

    name: str
    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Bars:
    """One part of each bar of a histogram."""

    name: str
    heights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in bins; parts of a bar stand on each other.

    Attributes:
        edges: of the bins, one more than there are.
    """

    name: str
    title: str
    x: Axis
    y: Axis
    edges: tuple[float, ...]
    parts: tuple[Bars, ...]
    note: str


Chart = LineChart | Histogram


def shown(number: float, axis: Axis) -> str:
    """A number on an axis, as people read it."""
    return f"{100 * number:.1f} %" if axis.percent else f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}"


def said(point: Point, chart: LineChart) -> str:
    """Text of a point: its numbers, and its interval where there is one."""
    around = ""
    if point.low is not None and point.high is not None:
        around = f" ({shown(point.low, chart.y)} to {shown(point.high, chart.y)})"
    return f"{chart.x.title} {shown(point.x, chart.x)}: {shown(point.y, chart.y)}{around}"


def marks_table(chart: Chart) -> Table:
    """The numbers that a chart tells, as a table."""
    return _bins(chart) if isinstance(chart, Histogram) else _marks(chart)


def _marks(chart: LineChart) -> Table:
    columns = (Column("line", "", numeric=False), Column("x", chart.x.title), Column("y", chart.y.title))
    around = any(point.low is not None for line in chart.lines for point in line.marks)
    rows = []
    for line in chart.lines:
        for point in line.marks:
            cells = [Cell(line.name, line.name), Cell(shown(point.x, chart.x), point.x)]
            cells.append(Cell(shown(point.y, chart.y), point.y))
            if around:
                cells += [EMPTY if end is None else Cell(shown(end, chart.y), end) for end in (point.low, point.high)]
            rows.append(tuple(cells))
    ends = (Column("low", "from"), Column("high", "to")) if around else ()
    return Table(chart.name, chart.title, (*columns, *ends), tuple(rows))


def _bins(chart: Histogram) -> Table:
    parts = (Column(part.name, part.name) for part in chart.parts)
    columns = (Column("from", f"{chart.x.title} from"), Column("to", "to"), *parts)
    rows = tuple(
        (
            *(Cell(shown(edge, chart.x), edge) for edge in chart.edges[place : place + 2]),
            *(Cell(f"{part.heights[place]:,}", part.heights[place]) for part in chart.parts),
        )
        for place in range(len(chart.edges) - 1)
    )
    return Table(chart.name, chart.title, columns, rows)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    Attributes:
        name: to link to.
        title: its heading.
        words: paragraphs.
        commands: lines for a terminal.
        charts: with their numbers.
        tables: rows of numbers.
        folded: whether tables are shown only where the reader asks for them.
    """

    name: str
    title: str
    words: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A report.

    Attributes:
        title: its heading.
        lead: one paragraph of plain words.
        facts: short lines.
        sections: in their order.
        appendix: what stands after the gallery.
        gallery: rows and pictures for the page's script, see `bbsmooth.reporting.gallery`.
        gallery_notes: what must be said about them.
    """

    title: str
    lead: str
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    appendix: tuple[Section, ...] = ()
    gallery: Mapping[str, Any] | None = None
    gallery_notes: tuple[str, ...] = ()
