from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from bbsmooth.reporting import charts, single
from bbsmooth.reporting.model import Axis, Line, LineChart, Point
from bbsmooth.reporting.paper import picture
from bbsmooth.runs.reading import Run


def test_png_and_svg_hold_the_charts(run: Run) -> None:
    chart = single.accuracy(run)
    assert chart is not None
    histogram = charts.radius_histogram(run.certificates or [], "L2", labelled=True)
    image = Image.open(io.BytesIO(picture([chart, histogram], "png")))
    assert image.size == (2700, 1020)  # with two lines of a legend
    assert len(set(image.convert("L").tobytes())) > 10
    root = ET.fromstring(picture([chart], "svg"))
    assert root.tag.endswith("svg")


def test_the_same_figure_is_the_same_file(run: Run) -> None:
    chart = single.accuracy(run)
    assert chart is not None
    assert picture([chart], "svg") == picture([chart], "svg")


@pytest.mark.parametrize(
    "name", ["$\\frac{1}$", "_hidden", "名前", "<b>&", "%s {0}", "a\x00b", "--><script>1</script>"]
)
def test_hostile_names_are_drawn_as_they_are(name: str) -> None:
    line = Line(name, (Point(0, 1), Point(1, 0)), (), steps=True)
    other = Line("other", (Point(0, 1), Point(1, 0)), (), steps=False)
    raw = picture([LineChart("c", "c", Axis("x"), Axis("y", percent=True), (line, other), "")], "svg")
    assert not [element for element in ET.fromstring(raw).iter() if "script" in str(element.tag)]
