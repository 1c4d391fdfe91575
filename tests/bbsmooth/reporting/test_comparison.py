"""Runs side by side: numbers of the summaries, pairs only where images are the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.reporting import comparison
from bbsmooth.reporting.model import Table
from bbsmooth.runs.reading import Run, read_run
from bbsmooth.runs.records.manifests import Manifest
from tests.bbsmooth.reporting.worlds import certified, change, cut, sequential, trained, tuned


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    weak, strong = certified(tmp_path, name="weak", strength=1.0), certified(tmp_path, name="strong", seed=1)
    return [read_run(path) for path in (weak, strong, tuned(tmp_path))]


def holds(record: dict[str, Any], radius: float) -> bool:
    return bool(record["correct"]) and record["radius"] >= radius


def table(runs: list[Run], name: str) -> Table:
    tables = [table for section in comparison.document(runs).sections for table in section.tables]
    return next(table for table in tables if table.name == name)


def column(found: Table, name: str) -> list[object]:
    place = [column.name for column in found.columns].index(name)
    return [row[place].value for row in found.rows]


def test_cells_are_the_numbers_of_the_summaries(runs: list[Run]) -> None:
    found = table(runs, "runs")
    assert column(found, "run") == ["weak", "strong", "tuned"]
    for number, run in enumerate(runs[:2]):
        for row in (run.summary or {})["certified_accuracy"]:
            place = [column.name for column in found.columns].index(f"r={row['radius']:g}")
            cell = found.rows[number][place]
            assert (cell.value, cell.low, cell.high) == (row["value"], row["low"], row["high"])
    assert column(found, "queries") == [44_000, 44_000, 3000]
    assert column(found, "price") == [88.0, 88.0, None]
    assert column(found, "heldout_best") == [None, None, 0.625]


def test_columns_without_anything_are_left_out(runs: list[Run]) -> None:
    names = [column.name for column in table(runs[:2], "runs").columns]
    assert "heldout_best" not in names
    assert "coordinator_queries" not in names


def test_pairs_count_image_by_image(runs: list[Run]) -> None:
    found = table(runs, "differences")
    one, other = ({r["index"]: r for r in run.certificates or []} for run in runs[:2])
    for row in found.rows:
        radius = row[2].value
        assert isinstance(radius, float)
        pairs = [(holds(one[index], radius), holds(other[index], radius)) for index in one]
        assert row[4].value == sum(mine and not its for mine, its in pairs)
        assert row[5].value == sum(its and not mine for mine, its in pairs)
        assert row[6].value == (row[4].value - row[5].value) / 40


def test_other_images_are_not_paired(runs: list[Run], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = read_run(certified(tmp_path / "other", images=41))
    assert list(comparison.differences(runs[0], other, (0.5,))) == []


def test_without_names_of_data_labels_must_agree(runs: list[Run], tmp_path: Path) -> None:
    (tmp_path / "third").mkdir()
    path = certified(tmp_path / "third", seed=5)
    (_, paired), *_ = comparison.differences(runs[0], nameless(read_run(path)), (0.5,))
    assert paired.images == 40
    lines = (path / "certificates.jsonl").read_text().replace('"index": 7, "label": 1', '"index": 7, "label": 2')
    (path / "certificates.jsonl").write_text(lines)
    assert list(comparison.differences(runs[0], nameless(read_run(path)), (0.5,))) == []


def nameless(run: Run) -> Run:
    """The run with a manifest that names no data, as that of an imported log."""
    manifest = {key: value for key, value in run.manifest.items() if key != "data"}
    return dataclasses.replace(run, manifest=cast(Manifest, manifest))


def test_equal_names_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    runs = [read_run(certified(tmp_path / folder)) for folder in ("a", "b")]
    assert comparison.unique_names(runs) == [str(tmp_path / "a" / "run"), str(tmp_path / "b" / "run")]


def test_a_comparison_needs_two(runs: list[Run]) -> None:
    for few in ([], runs[:1], [runs[0], runs[0]]):
        with pytest.raises(UsageError, match="two or more different runs"):
            comparison.document(few)


def test_norms_are_not_mixed(runs: list[Run]) -> None:
    for record in runs[1].certificates or []:
        record["norm"] = "l1"
    charts = comparison.figures(runs, ["a", "b", "c"], (0.5,))
    assert [chart.x.title for chart in charts] == ["L1 radius", "L2 radius", "queries", "queries"]
    assert list(comparison.differences(runs[0], runs[1], (0.5,))) == []


def test_trained_models_stand_beside_each_other(tmp_path: Path) -> None:
    found = table([read_run(trained(tmp_path, name=name)) for name in ("one", "other")], "runs")
    assert (column(found, "trained"), column(found, "clean_accuracy")) == ([500, 500], [0.96875, 0.96875])
    assert column(found, "noisy_accuracy") == [0.75, 0.75]


def test_a_line_of_agreement_with_the_oracle_says_so(runs: list[Run]) -> None:
    change(runs[0].path / "summary.json", labels="oracle")
    found = [read_run(runs[0].path), runs[1]]
    (chart,) = comparison.figures(found, ["weak", "strong"], (0.25,))
    assert [line.name for line in chart.lines] == ["weak (agreement)", "strong"]


def test_a_sequential_run_says_nothing_where_it_was_not_asked(tmp_path: Path) -> None:
    paths = [sequential(tmp_path, 0.25, name="a"), sequential(tmp_path, 0.25, 0.5, name="b", seed=1)]
    paths.append(certified(tmp_path, name="c", seed=2))
    runs = [read_run(path) for path in paths]
    found = table(runs, "runs")
    asked = {radius: [cell is not None for cell in column(found, f"r={radius:g}")] for radius in (0, 0.25, 0.5, 0.75)}
    no, yes = False, True
    assert asked == {0: [no, no, yes], 0.25: [yes, yes, yes], 0.5: [no, yes, yes], 0.75: [no, no, yes]}
    place = [each.name for each in found.columns].index("r=0.5")
    assert found.rows[0][place].text == "-"
    assert [value is not None for value in column(found, "acr")] == [no, no, yes]
    pairs = [(row[0].value, row[1].value, row[2].value) for row in table(runs, "differences").rows]
    assert pairs == [("a", "b", 0.25), ("a", "c", 0.25), ("b", "c", 0.25), ("b", "c", 0.5)]
    (chart,) = comparison.figures(runs, ["a", "b", "c"], (0.0, 0.25, 0.5, 0.75))
    assert [point.x for point in chart.lines[0].points] == [0.25]
    assert [point.x for point in chart.lines[1].points] == [0.25, 0.5]


def test_a_run_with_missing_images_has_no_interval_and_no_test(tmp_path: Path) -> None:
    runs = [read_run(cut(certified(tmp_path, name="part"), 17)), read_run(certified(tmp_path, name="whole", seed=1))]
    found = table(runs, "runs")
    place = [each.name for each in found.columns].index("r=0.25")
    part, whole = (row[place] for row in found.rows)
    assert (part.low, part.high) == (None, None)
    assert part.text.endswith("of 17")
    assert whole.low is not None
    assert [row[2].text for row in table(runs, "differences").rows] == ["0", "0.25", "0.5", "0.75"]
    for row in table(runs, "differences").rows:
        assert row[3].value == 17
        assert (row[6].low, row[6].high, row[7].value) == (None, None, None)
    document = comparison.document(runs)
    assert "part (17 of 40 images)" in document.lead
    (chart,) = comparison.figures(runs, ["part", "whole"], (0.25,))
    assert chart.lines[0].name == "part (17 of 40 images)"
    assert {point.low for point in chart.lines[0].points} == {None}


def test_a_run_that_was_killed_before_its_summary_has_no_interval_either(tmp_path: Path) -> None:
    path = certified(tmp_path, name="part")
    (path / "summary.json").unlink()
    runs = [read_run(path), read_run(certified(tmp_path, name="whole", seed=1))]
    found = table(runs, "runs")
    place = [each.name for each in found.columns].index("r=0.25")
    assert found.rows[0][place].low is None


def test_what_is_shown_can_be_chosen(runs: list[Run]) -> None:
    choice = comparison.ComparisonView(
        names=("Cohen", "ours", "third"), shown_radii=(0.3,), columns=("queries", "accuracy"), baseline=runs[0].path
    )
    tables = [table for section in comparison.document(runs, choice).sections for table in section.tables]
    assert [each.name for each in tables[0].columns] == ["run", "queries", "r=0.3"]
    assert [row[0].value for row in tables[0].rows] == ["Cohen", "ours", "third"]
    assert [(row[0].value, row[1].value, row[2].value) for row in tables[1].rows] == [("ours", "Cohen", 0.3)]


@pytest.mark.parametrize(
    ("choice", "word"),
    [
        ({"names": ("a", "b")}, "each of the 3 runs a name"),
        ({"names": ("a", "a", "b")}, "a name of its own"),
        ({"columns": ("speed",)}, "`columns` must be among run"),
        ({"shown_radii": (-1.0,)}, "`shown_radii` must be finite"),
        ({"baseline": Path("elsewhere")}, "`baseline` must be one of the runs"),
    ],
)
def test_a_choice_that_does_not_fit_is_refused(runs: list[Run], choice: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        comparison.document(runs, comparison.ComparisonView(**choice))
