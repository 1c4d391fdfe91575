from __future__ import annotations

import re

import pytest

from bbsmooth.reporting.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw, ticks
from bbsmooth.reporting.model import Axis, Bars, Histogram, Line, LineChart, Point


def chart(points: list[Point], *, steps: bool = False, percent: bool = True) -> LineChart:
    line = Line("it", tuple(points), tuple(points), steps)
    return LineChart("c", "C", Axis("radius"), Axis("share", percent=percent), (line,), "")


@pytest.mark.parametrize(
    ("low", "high", "whole", "found"),
    [
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 2.4632, False, [0, 0.5, 1, 1.5, 2]),
        (0, 3, True, [0, 1, 2, 3]),
        (0, 20_000, True, [0, 5000, 10_000, 15_000, 20_000]),
        (0, 0.011, False, [0, 0.0025, 0.005, 0.0075, 0.01]),
    ],
)
def test_ticks_are_round(low: float, high: float, whole: bool, found: list[float]) -> None:
    assert ticks(low, high, whole=whole) == pytest.approx(found)


def test_points_stand_where_their_numbers_say() -> None:
    drawing = draw(chart([Point(0, 1), Point(2, 0.5), Point(4, 0)]))
    (trace,) = drawing.traces
    middle = ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2)
    assert [(dot.x, dot.y) for dot in trace.dots] == [(LEFT, TOP), middle, (WIDTH - RIGHT, HEIGHT - BOTTOM)]
    assert trace.dots[1].text == "it, radius 2: 50.0 %"
    assert trace.band == ""


def test_a_step_holds_back_to_the_point_before() -> None:
    (trace,) = draw(chart([Point(0, 1), Point(1, 0.5)], steps=True)).traces
    corners = [tuple(map(float, pair.split())) for pair in re.split("[ML]", trace.path)[1:]]
    assert corners[1] == (corners[0][0], corners[2][1])  # straight down at the first x, then across


def test_a_band_lies_around_its_line() -> None:
    (trace,) = draw(chart([Point(0, 0.5, 0.4, 0.6), Point(1, 0.25, 0.2, 0.3)])).traces
    assert trace.band.endswith("Z")
    assert trace.band.count("L") == 3
    assert "(40.0 % to 60.0 %)" in trace.dots[0].text


def test_bars_stand_on_each_other() -> None:
    parts = (Bars("right", (2, 0)), Bars("wrong", (1, 4)))
    drawing = draw(Histogram("h", "H", Axis("radius"), Axis("images", whole=True), (0.0, 0.5, 1.0), parts, ""))
    right, wrong = drawing.traces
    assert len(right.boxes) == 1  # no box for nothing
    lower, upper, tallest = right.boxes[0], wrong.boxes[0], wrong.boxes[1]
    assert upper.y + upper.height == pytest.approx(lower.y, abs=0.2)
    assert tallest.y == TOP
    assert lower.height == pytest.approx(2 * upper.height, abs=0.2)
    assert tallest.text == "wrong, radius 0.5 to 1: 4 images"


def test_nothing_can_be_drawn() -> None:
    assert draw(chart([])).traces[0].path == ""
    flat = draw(chart([Point(0, 0)], percent=False))
    assert flat.traces[0].dots[0].y == HEIGHT - BOTTOM


def test_points_that_stand_apart_are_not_joined() -> None:
    points = (Point(0.25, 0.8, 0.7, 0.9), Point(0.5, 0.4, 0.3, 0.5))
    chart = LineChart(
        "c", "C", Axis("radius"), Axis("share", percent=True), (Line("a", points, points, True, True),), ""
    )
    (trace,) = draw(chart).traces
    assert trace.band == ""
    bars = trace.path.removeprefix("M").split("M")
    assert len(bars) == len(trace.dots) == 2
    for bar, dot in zip(bars, trace.dots, strict=True):
        (x1, low), (x2, high) = (map(float, corner.split()) for corner in bar.split("L"))
        assert x1 == x2 == dot.x
        assert high < dot.y < low  # upwards
