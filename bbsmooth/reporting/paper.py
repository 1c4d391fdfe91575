"""Charts for papers: PNG and SVG, drawn by matplotlib from the same numbers as the page's."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bbsmooth.reporting.escaping import one_line
from bbsmooth.reporting.model import Axis, Chart, Histogram, Line, LineChart

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F7F")
"""Told apart by readers of any colour vision (Okabe and Ito 2008)."""

_DASHES = ("-", "--", ":", "-.")
_WIDTH, _HEIGHT, _DPI = 4.5, 3.0, 300
_LEGEND_LINE = 0.2  # inches
_SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.usetex": False,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.hashsalt": "bbsmooth",  # the same figure is the same file
    "svg.fonttype": "path",
}


def picture(charts: Sequence[Chart], form: str) -> bytes:
    """Charts side by side.

    Args:
        charts: at least one.
        form: "png" or "svg".
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(layout="constrained")
        parts = figure.subfigures(1, len(charts), squeeze=False)[0]
        names = [_draw(part, chart) for part, chart in zip(parts, charts, strict=True)]
        figure.set_size_inches(_WIDTH * len(charts), _HEIGHT + _LEGEND_LINE * max(names))
        raw = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in signs that the font has not: boxes
            figure.savefig(raw, format=form, dpi=_DPI, metadata={"Date": None} if form == "svg" else {})
    return raw.getvalue()


def _draw(part: SubFigure, chart: Chart) -> int:
    """Draw a chart, with a legend below it where it shows several things; how many lines that has."""
    axes = part.subplots()
    handles = _bars(axes, chart) if isinstance(chart, Histogram) else _lines(axes, chart)
    axes.set_xlabel(chart.x.title)
    axes.set_ylabel(chart.y.title)
    _scale(axes, chart.y)
    if chart.x.whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(handles) < 2:
        return 0
    part.legend(handles.values(), _short(list(handles)), loc="outside lower center", frameon=False)
    return len(handles)


def _short(names: Sequence[str]) -> list[str]:
    """Each name on one line, without the folders that all are in; matplotlib leaves out what begins with "_"."""
    paths = [name.split("/") for name in names]
    levels = zip(*(path[:-1] for path in paths), strict=False)
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    shown = [one_line("/".join(path[common:])) for path in paths]
    return [f" {name}" if name.startswith("_") else name for name in shown]


def _scale(axes: Axes, axis: Axis) -> None:
    if axis.percent:
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    elif axis.whole:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _lines(axes: Axes, chart: LineChart) -> dict[str, Artist]:
    axes.set_xlim(0, max([point.x for line in chart.lines for point in line.points], default=1) or 1)
    return {
        line.name: _line(axes, line, COLORS[number % len(COLORS)], _DASHES[number % len(_DASHES)])
        for number, line in enumerate(chart.lines)
    }


def _line(axes: Axes, line: Line, color: str, dashes: str) -> Artist:
    xs, ys = [point.x for point in line.points], [point.y for point in line.points]
    if line.apart:
        return _dots(axes, line, color)
    style = "steps-pre" if line.steps else "default"
    (drawn,) = axes.plot(xs, ys, color=color, linestyle=dashes, linewidth=1.4, drawstyle=style)
    lows = [point.low for point in line.points if point.low is not None]
    highs = [point.high for point in line.points if point.high is not None]
    if lows:  # then every point has an interval
        axes.fill_between(xs, lows, highs, color=color, alpha=0.15, linewidth=0, step="pre" if line.steps else None)
    if len(line.marks) < len(line.points):
        axes.plot([p.x for p in line.marks], [p.y for p in line.marks], ".", color=color)
    return drawn


def _dots(axes: Axes, line: Line, color: str) -> Artist:
    """Points alone, with their intervals."""
    xs, ys = [point.x for point in line.points], [point.y for point in line.points]
    (drawn,) = axes.plot(xs, ys, "o", markersize=3.5, color=color, clip_on=False)
    for point in line.points:
        if point.low is not None and point.high is not None:
            axes.plot([point.x, point.x], [point.low, point.high], color=color, linewidth=1, clip_on=False)
    return drawn


def _bars(axes: Axes, chart: Histogram) -> dict[str, Artist]:
    lefts, floors = np.array(chart.edges[:-1]), np.zeros(len(chart.edges) - 1)
    drawn: dict[str, Artist] = {}
    for part, color in zip(chart.parts, COLORS, strict=False):
        bars = axes.bar(lefts, part.heights, np.diff(chart.edges), floors, align="edge", color=color, edgecolor="white")
        drawn[part.name] = bars[0]
        floors = floors + part.heights
    return drawn
