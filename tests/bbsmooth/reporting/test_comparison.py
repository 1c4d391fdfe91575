"""Runs side by side: numbers of the summaries, pairs only where images are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.reporting import comparison
from bbsmooth.reporting.model import Table
from bbsmooth.runs.reading import Run, read_run
from tests.bbsmooth.reporting.worlds import certified, change, trained, tuned


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
    change(path / "manifest.json", data=None)
    (_, paired), *_ = comparison.differences(runs[0], read_run(path), (0.5,))
    assert paired.images == 40
    lines = (path / "certificates.jsonl").read_text().replace('"index": 7, "label": 1', '"index": 7, "label": 2')
    (path / "certificates.jsonl").write_text(lines)
    assert list(comparison.differences(runs[0], read_run(path), (0.5,))) == []


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
