"""Runs side by side, group by group."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bbsmooth as bb
from bbsmooth.reporting.groups import by_group
from bbsmooth.runs.issuing import read_issued
from tests.bbsmooth.cli.world import World, bbsmooth


@pytest.fixture
def runs(world: World) -> tuple[Path, Path]:
    """A run about every radius, and a sequential one that was asked about one alone."""
    world.certify()
    other = world.folder / "sequential"
    world.certify("--method", "sequential", "--radius", 0.25, out=other)
    return world.run, other


def compared(*arguments: object) -> list[dict[str, object]]:
    done = bbsmooth("compare", *arguments, "--json")
    assert done.status == 0, done.err
    rows: list[dict[str, object]] = json.loads(done.out)["groups"]
    return rows


def test_each_run_has_the_figures_of_its_report(runs: tuple[Path, Path]) -> None:
    rows = compared(*runs, "--groups", "class", "--radii", "0.25")
    for run in runs:
        expected = [row for row in by_group(read_issued(run), "class") if row["radius"] == 0.25]
        found = [row for row in rows if row["run"] == run.name]
        assert [(row["group"], row["images"], row["r=0.25"]) for row in found] == [
            (row["group"], row["images"], row["value"]) for row in expected
        ]
        assert [row["r=0.25 low"] for row in found] == [row["low"] for row in expected]


def test_a_radius_that_a_run_was_not_asked_about_stays_open(runs: tuple[Path, Path]) -> None:
    rows = compared(*runs, "--groups", "class", "--radii", "0,0.25")
    assert {row["r=0"] is None for row in rows if row["run"] == runs[0].name} == {False}
    assert {row["r=0"] is None for row in rows if row["run"] == runs[1].name} == {True}


def test_the_python_door_shows_the_same(runs: tuple[Path, Path], tmp_path: Path) -> None:
    found = bb.compare(*runs, groups="class")
    page = found.report(tmp_path / "page.html").read_text()
    assert "Certified accuracy by class" in page
    assert "Certified accuracy by class" in str(found)
    assert "Certified accuracy by class" not in str(bb.compare(*runs))


def test_figures_refuse_groups_and_a_file_that_is_too_short_is_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    done = bbsmooth("compare", *runs, "--groups", "class", "--format", "tsv")
    assert done.status == 2
    assert "--groups goes with html, text, json, md and tex, not with tsv" in done.err
    (tmp_path / "short.csv").write_text("hospital\nA\n")
    short = bbsmooth("compare", *runs, "--groups", f"{tmp_path / 'short.csv'}:hospital")
    assert short.status == 2
    assert "has 1 rows" in short.err
