"""Layout of the charts of a page, in SVG units; the template only writes it down."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bbsmooth.reporting.model import Axis, Chart, Histogram, Line, LineChart, Point, said, shown

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 14, 46
_TICKS = 5

Scale = Callable[[float], float]


class Tick(NamedTuple):
    """A number at an axis."""

    at: float
    text: str


class Dot(NamedTuple):
    """A point whose numbers are told."""

    x: float
    y: float
    text: str


class Box(NamedTuple):
    """A part of a bar."""

    x: float
    y: float
    width: float
    height: float
    text: str


class Trace(NamedTuple):
    """One line or one part of all bars; `path` and `band` are SVG path data, empty where there is none."""

    name: str
    path: str
    band: str
    dots: tuple[Dot, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart, laid out."""

    chart: Chart
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    traces: tuple[Trace, ...]


def draw(chart: Chart) -> Drawing:
    """Lay out a chart."""
    return _histogram(chart) if isinstance(chart, Histogram) else _lines(chart)


def ticks(low: float, high: float, *, whole: bool) -> list[float]:
    """About five round numbers between two, or whole ones."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    if whole:
        step = math.ceil(step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _lines(chart: LineChart) -> Drawing:
    xs = [point.x for line in chart.lines for point in line.points]
    ys = [end for line in chart.lines for point in line.points for end in (point.y, point.low, point.high)]
    x_low, x_high = _span(xs, chart.x)
    y_low, y_high = _span([y for y in ys if y is not None], chart.y)
    across, up = _scales(x_low, x_high, y_low, y_high)
    return Drawing(
        chart,
        _ticks(x_low, x_high, chart.x, across),
        _ticks(y_low, y_high, chart.y, up),
        tuple(_trace(line, chart, across, up) for line in chart.lines),
    )


def _span(values: Sequence[float], axis: Axis) -> tuple[float, float]:
    """From 0 (or below) to the largest value; shares to 1."""
    low, high = min([0.0, *values]), max([0.0, *values])
    if axis.percent:
        return 0.0, 1.0
    return (low, high) if high > low else (low, low + 1.0)


def _trace(line: Line, chart: LineChart, across: Scale, up: Scale) -> Trace:
    def place(points: Sequence[Point]) -> list[tuple[float, float]]:
        corners: list[tuple[float, float]] = []
        for point in points:
            x, y = across(point.x), up(point.y)
            if line.steps and corners:
                corners.append((corners[-1][0], y))
            corners.append((x, y))
        return corners

    lows = [point._replace(y=point.low) for point in line.points if point.low is not None]
    highs = [point._replace(y=point.high) for point in line.points if point.high is not None]
    band = _path(place(highs) + place(lows)[::-1]) + "Z" if highs else ""
    dots = tuple(Dot(_round(across(p.x)), _round(up(p.y)), f"{line.name}, {said(p, chart)}") for p in line.marks)
    if line.apart:
        ends = [(p.x, p.low, p.high) for p in line.points if p.low is not None and p.high is not None]
        bars = (_path([(across(x), up(low)), (across(x), up(high))]) for x, low, high in ends)
        return Trace(line.name, "".join(bars), "", dots, ())
    return Trace(line.name, _path(place(line.points)), band, dots, ())


def _histogram(chart: Histogram) -> Drawing:
    tallest = max(map(sum, zip(*(part.heights for part in chart.parts), strict=True)))
    across, up = _scales(chart.edges[0], chart.edges[-1], 0, max(1, tallest))
    floors = [0] * (len(chart.edges) - 1)
    traces = []
    for part in chart.parts:
        boxes = tuple(
            _box(chart, part.name, place, floors[place], height, across, up)
            for place, height in enumerate(part.heights)
            if height
        )
        floors = [floor + height for floor, height in zip(floors, part.heights, strict=True)]
        traces.append(Trace(part.name, "", "", (), boxes))
    return Drawing(
        chart,
        _ticks(chart.edges[0], chart.edges[-1], chart.x, across),
        _ticks(0, max(1, tallest), chart.y, up),
        tuple(traces),
    )


def _box(chart: Histogram, name: str, place: int, floor: int, height: int, across: Scale, up: Scale) -> Box:
    left, right = chart.edges[place : place + 2]
    text = f"{name}, {chart.x.title} {shown(left, chart.x)} to {shown(right, chart.x)}: {height:,} {chart.y.title}"
    top = up(floor + height)
    width = max(1.0, across(right) - across(left) - 1)
    return Box(_round(across(left)), _round(top), _round(width), _round(up(floor) - top), text)


def _scales(x_low: float, x_high: float, y_low: float, y_high: float) -> tuple[Scale, Scale]:
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return (
        lambda x: LEFT + inner_width * (x - x_low) / (x_high - x_low),
        lambda y: HEIGHT - BOTTOM - inner_height * (y - y_low) / (y_high - y_low),
    )


def _ticks(low: float, high: float, axis: Axis, scale: Scale) -> tuple[Tick, ...]:
    def text(number: float) -> str:
        return f"{100 * number:.0f} %" if axis.percent else f"{number:,.4g}" if number < 10_000 else f"{number:,.0f}"

    return tuple(Tick(_round(scale(number)), text(number)) for number in ticks(low, high, whole=axis.whole))


def _path(corners: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_round(x)} {_round(y)}" for x, y in corners) if corners else ""


def _round(value: float) -> float:
    return round(value, 1)
