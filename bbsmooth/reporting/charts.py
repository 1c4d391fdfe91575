"""Charts of one run or of several, with every number in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bbsmooth.certification import certified_accuracy
from bbsmooth.reporting.model import Axis, Bars, Histogram, Line, LineChart, Point
from bbsmooth.reporting.scope import decided_radii
from bbsmooth.runs.certificates import CONFIDENCE, Record

_RADII_OF_A_LINE = 200
_BINS = 20


def correct_radii(records: Sequence[Record]) -> list[float | None]:
    """For each image its radius, None where the class is wrong or the certifier abstained."""
    return [record["radius"] if record["correct"] else None for record in records]


def certified_line(
    name: str, records: Sequence[Record], marks: Sequence[Point], *, whole: bool, labelled: bool = True
) -> Line:
    """The share of images that are certified, against the radius; of a sequential run at the radii that it decided.

    Args:
        name: of the line.
        records: certificates.
        marks: whose numbers are told.
        whole: whether no image is missing, so that there is an interval.
        labelled: whether a certificate counts only where its class is right.
    """
    found = correct_radii(records) if labelled else [record["radius"] for record in records]
    decided = decided_radii(records)
    largest = max([radius for radius in found if radius is not None], default=0.0)
    grid = {*np.linspace(0, largest, _RADII_OF_A_LINE).tolist(), 1.02 * largest} if decided is None else {*decided}
    grid |= {point.x for point in marks}
    points = tuple(certified_point(found, radius, whole=whole) for radius in sorted(grid))
    return Line(name, points, tuple(marks) if decided is None else points, steps=True, apart=decided is not None)


def certified_point(found: Sequence[float | None], radius: float, *, whole: bool) -> Point:
    """The share of images that are certified at a radius, with its interval where the images are `whole`."""
    share = certified_accuracy(found, radius, confidence=CONFIDENCE)
    return Point(radius, share.value, share.low, share.high) if whole else Point(radius, share.value)


def summary_points(rows: Sequence[Record]) -> tuple[Point, ...]:
    """The points that a summary lists."""
    return tuple(Point(row["radius"], row["value"], row["low"], row["high"]) for row in rows)


def accuracy_chart(lines: Sequence[Line], norm: str, what: str) -> LineChart:
    """Lines of `certified_line`, and of accuracy under attack, over one another."""
    return LineChart(
        name="certified",
        title=f"{what.capitalize()} against radius",
        x=Axis(f"{norm} radius"),
        y=Axis(what, percent=True),
        lines=tuple(lines),
        note=f"Shaded: {100 * CONFIDENCE:g} % interval for the share in the population of images, at each radius by "
        "itself (Clopper and Pearson 1934); none where images are missing. Abstentions count against.",
    )


def radius_histogram(records: Sequence[Record], norm: str, *, labelled: bool) -> Histogram:
    """Histogram of radii; abstentions have none and are not in it."""
    certified = [record for record in records if record["radius"] is not None]
    edges = np.linspace(0, max((record["radius"] for record in certified), default=0.0) or 1.0, _BINS + 1)
    groups = {"certified right": True, "certified wrong": False} if labelled else {"certified": None}
    abstained = sum(bool(record["abstained"]) for record in records)
    return Histogram(
        name="radii",
        title="Radii",
        x=Axis(f"{norm} radius"),
        y=Axis("images", whole=True),
        edges=tuple(edges.tolist()),
        parts=tuple(
            Bars(name, _heights([record["radius"] for record in certified if record["correct"] is right], edges))
            for name, right in groups.items()
        ),
        note=f"{abstained:,} of {len(records):,} images got no certificate and have no radius.",
    )


def queries_histogram(records: Sequence[Record]) -> Histogram:
    """Histogram of the queries of images, where these took different numbers."""
    queries = [record["queries"] for record in records]
    least, most = min(queries), max(queries)
    note = f"From {least:,} to {most:,}, {sum(queries) / len(queries):,.0f} on average."
    edges = np.linspace(least, most, _BINS + 1)
    return Histogram(
        name="queries",
        title="Queries an image",
        x=Axis("queries"),
        y=Axis("images", whole=True),
        edges=tuple(edges.tolist()),
        parts=(Bars("images", _heights(queries, edges)),),
        note=note,
    )


def history_charts(histories: Sequence[tuple[str, Sequence[Record]]]) -> tuple[LineChart, ...]:
    """Charts of histories: of runs that tuned against queries, of those that trained with gradients against epochs."""
    told = [
        (make, [(name, events) for name, events in histories if any(key in event for event in events)])
        for key, make in (("queries", tuning_charts), ("epoch", training_charts))
    ]
    return tuple(chart for make, chosen in told if chosen for chart in make(chosen))


def tuning_charts(histories: Sequence[tuple[str, Sequence[Record]]]) -> tuple[LineChart, ...]:
    """Held-out accuracy and loss against queries, one line a run."""
    queries = Axis("queries", whole=True)
    return (
        LineChart(
            name="heldout",
            title="Held-out noisy accuracy while tuning",
            x=queries,
            y=Axis("held-out noisy accuracy", percent=True),
            lines=tuple(_history_line(name, events, "heldout_accuracy", marked=True) for name, events in histories),
            note="Share of right answers on noisy held-out images; judging them is paid from the same budget.",
        ),
        LineChart(
            name="loss",
            title="Loss while tuning",
            x=queries,
            y=Axis("loss"),
            lines=tuple(_history_line(name, events, "loss", marked=False) for name, events in histories),
            note="Of each step, on its own images and noise.",
        ),
    )


def training_charts(histories: Sequence[tuple[str, Sequence[Record]]]) -> tuple[LineChart, ...]:
    """Loss against epochs, one line a run, and robust accuracy where a run looked at its own."""
    epochs = Axis("epochs", whole=True)
    watched = [(name, events) for name, events in histories if any("robust_accuracy" in event for event in events)]
    accuracy = LineChart(
        name="robust",
        title="Held-out noisy accuracy while training",
        x=epochs,
        y=Axis("held-out noisy accuracy", percent=True),
        lines=tuple(_history_line(name, events, "robust_accuracy", marked=True, x="epoch") for name, events in watched),
        note="Of training images that no weight was trained on; it decides the learning rate and what is kept.",
    )
    loss = LineChart(
        name="training-loss",
        title="Loss while training",
        x=epochs,
        y=Axis("loss"),
        lines=tuple(_history_line(name, events, "loss", marked=True, x="epoch") for name, events in histories),
        note="Mean over the batches of each epoch; what it measures differs from method to method.",
    )
    return (accuracy, loss) if watched else (loss,)


def _history_line(name: str, events: Sequence[Record], key: str, *, marked: bool, x: str = "queries") -> Line:
    numbers = (event for event in events if event.get(key) is not None and event.get(x) is not None)
    known = (event for event in numbers if math.isfinite(event[key]))  # a run may diverge
    points = tuple(Point(event[x], event[key]) for event in known)
    return Line(name, points, points if marked else points[-1:], steps=False)


def _heights(values: Sequence[float], edges: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(np.histogram(values, bins=edges)[0].tolist())
