from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bbsmooth.certification import certified_accuracy
from bbsmooth.reporting import charts, single
from bbsmooth.reporting.model import marks_table
from bbsmooth.reporting.page import page
from bbsmooth.reporting.paper import picture
from bbsmooth.runs.reading import Run, read_run
from tests.bbsmooth.reporting.worlds import trained, tuned


def test_the_marks_are_the_numbers_of_the_summary(run: Run) -> None:
    chart = single.accuracy(run)
    assert chart is not None
    assert run.summary is not None
    told = [{"radius": p.x, "value": p.y, "low": p.low, "high": p.high} for p in chart.lines[0].marks]
    assert told == run.summary["certified_accuracy"]


def test_the_line_is_certified_accuracy_everywhere(run: Run) -> None:
    chart = single.accuracy(run)
    assert chart is not None
    found = charts.correct_radii(run.certificates or [])
    for point in chart.lines[0].points[::17]:
        share = certified_accuracy(found, point.x, confidence=0.95)
        assert (point.y, point.low, point.high) == (share.value, share.low, share.high)
    assert set(chart.lines[0].marks) <= set(chart.lines[0].points)
    assert chart.lines[0].points[-1].y == 0  # beyond the largest radius


def test_every_certificate_is_in_the_histogram(run: Run) -> None:
    records = run.certificates or []
    found = charts.radius_histogram(records, "L2", labelled=True)
    right, wrong = found.parts
    assert sum(right.heights) == sum(record["correct"] for record in records)
    assert sum(wrong.heights) == sum(not record["correct"] and not record["abstained"] for record in records)
    assert marks_table(found).rows[0][0].value == 0


def test_queries_that_differ_are_counted() -> None:
    found = charts.queries_histogram([{"queries": 10}, {"queries": 30}, {"queries": 30}])
    assert (sum(found.parts[0].heights), found.parts[0].heights[0], found.parts[0].heights[-1]) == (3, 1, 2)
    assert found.note == "From 10 to 30, 23 on average."


def test_tuning_is_shown_as_it_was(tmp_path: Path) -> None:
    heldout, loss = single.history(read_run(tuned(tmp_path)))
    assert [(p.x, p.y) for p in heldout.lines[0].marks] == [(500, 0.5), (3000, 0.625)]
    assert len(loss.lines[0].points) == 20
    assert loss.lines[0].points[1].y == pytest.approx(1.0)


def test_training_is_shown_by_epochs(tmp_path: Path) -> None:
    (loss,) = single.history(read_run(trained(tmp_path)))
    assert [(p.x, p.y) for p in loss.lines[0].marks] == [(1, 2.0), (2, 1.0)]
    accuracy, _ = single.history(read_run(trained(tmp_path, name="watched", watched=True)))
    assert [(p.x, p.y) for p in accuracy.lines[0].marks] == [(1, 0.25), (2, 0.5)]


def test_what_was_tuned_and_what_was_trained_share_no_axis(tmp_path: Path) -> None:
    paths = (tuned(tmp_path), trained(tmp_path), trained(tmp_path, name="watched", watched=True))
    found = charts.history_charts([(path.name, read_run(path).history or []) for path in paths])
    assert [(chart.name, chart.x.title, [line.name for line in chart.lines]) for chart in found] == [
        ("heldout", "queries", ["tuned"]),
        ("loss", "queries", ["tuned"]),
        ("robust", "epochs", ["watched"]),
        ("training-loss", "epochs", ["trained", "watched"]),
    ]


def test_a_run_that_diverged_is_shown_as_far_as_it_has_numbers(tmp_path: Path) -> None:
    path = trained(tmp_path)
    losses = (2.0, math.inf, math.nan)
    lines = (json.dumps({"epoch": number, "loss": loss, "seconds": 1.0}) for number, loss in enumerate(losses, 1))
    (path / "history.jsonl").write_text("".join(f"{line}\n" for line in lines))
    run = read_run(path)
    (loss,) = single.history(run)
    assert [(p.x, p.y) for p in loss.lines[0].points] == [(1, 2.0)]
    assert b"nan" not in page(single.document(run, pictured=0))
    assert picture(single.history(run), "svg")
