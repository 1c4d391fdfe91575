"""`bbsmooth compare` in all its forms."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.bbsmooth.cli.world import World, bbsmooth


@pytest.fixture
def runs(world: World) -> tuple[Path, Path]:
    other = world.folder / "other"
    world.certify("--price", "10")
    world.certify("--sigma", "0.5", out=other)
    return world.run, other


def test_text_sets_runs_side_by_side(runs: tuple[Path, Path]) -> None:
    done = bbsmooth("compare", *runs)
    assert done.status == 0
    assert "r = 0.25" in done.out
    assert "Paired differences" in done.out


@pytest.mark.parametrize("form", ["html", "md", "tex", "tsv", "json", "png", "svg", "txt"])
def test_the_end_of_a_name_chooses_the_form(runs: tuple[Path, Path], form: str, tmp_path: Path) -> None:
    file = tmp_path / f"comparison.{form}"
    done = bbsmooth("compare", *runs, "--out", file)
    assert done.status == 0
    assert f"comparison: {file}" in done.out
    begin = {"html": b"<!doctype html>", "md": b"# Comparison", "tex": b"% needs", "tsv": b"run\t", "json": b'{"runs"'}
    begin |= {"png": b"\x89PNG", "svg": b"<?xml", "txt": b"Runs"}
    assert file.read_bytes().startswith(begin[form])


def test_numbers_are_those_of_the_summaries(runs: tuple[Path, Path]) -> None:
    rows = list(csv.DictReader(bbsmooth("compare", *runs, "--format", "tsv").out.splitlines(), delimiter="\t"))
    for row, run in zip(rows, runs, strict=True):
        summary = json.loads((run / "summary.json").read_text())
        for point in summary["certified_accuracy"]:
            name = f"r={point['radius']:g}"
            told = (float(row[name]), float(row[f"{name} low"]), float(row[f"{name} high"]))
            assert told == (point["value"], point["low"], point["high"])
        assert int(row["queries"]) == summary["queries"]
    assert float(rows[0]["price"]) == 3.0


def test_what_cannot_be_compared_is_said(runs: tuple[Path, Path]) -> None:
    assert "two or more different runs" in bbsmooth("compare", runs[0]).line
    assert "needs a file" in bbsmooth("compare", *runs, "--format", "png").line
    assert "--format must be one of" in bbsmooth("compare", *runs, "--out", "x.pdf").line
    assert "there is no folder nowhere; make it" in bbsmooth("compare", *runs, "--out", "nowhere/x.html").line
    assert "is not a run directory" in bbsmooth("compare", runs[0], runs[0].parent).line


def test_runs_that_cannot_be_paired_have_an_empty_list_of_differences(world: World) -> None:
    other = world.folder / "other"
    world.certify("--method", "sequential", "--radius", "0.05")
    world.certify("--method", "sequential", "--radius", "0.1", out=other)
    found = json.loads(bbsmooth("compare", world.run, other, "--json").out)
    assert found["differences"] == []
    table = world.folder / "table.tsv"
    assert json.loads(bbsmooth("compare", world.run, other, "--json", "--out", table).out) == found
    assert table.read_text().startswith("run\t")
    refused = bbsmooth("compare", world.run, other, "--json", "--format", "md")
    assert (refused.status, "--json prints one JSON object" in refused.err) == (2, True)
    assert [(run["r=0.05"] is None, run["r=0.1"] is None) for run in found["runs"]] == [(False, True), (True, False)]


def test_names_radii_columns_and_baseline(runs: tuple[Path, Path]) -> None:
    shown = ("--names", "ours,theirs", "--radii", "0.1,0.2", "--columns", "sigma,accuracy", "--baseline", "other")
    found = json.loads(bbsmooth("compare", *runs, *shown, "--json").out)
    assert [run["run"] for run in found["runs"]] == ["ours", "theirs"]
    assert {key for key in found["runs"][0] if "low" not in key and "high" not in key} == {
        *("run", "sigma", "r=0.1", "r=0.2")
    }
    assert {(pair["first"], pair["second"]) for pair in found["differences"]} == {("ours", "theirs")}
    alone = json.loads(bbsmooth("compare", runs[0], "--baseline", runs[1], "--json").out)
    assert {(pair["first"], pair["second"]) for pair in alone["differences"]} == {(runs[0].name, runs[1].name)}


def test_text_fits_eighty_columns(runs: tuple[Path, Path]) -> None:
    assert max(map(len, bbsmooth("compare", *runs).out.splitlines())) <= 80


def test_what_cannot_be_shown_is_said(runs: tuple[Path, Path]) -> None:
    assert "must be numbers" in bbsmooth("compare", *runs, "--radii", "0.25,half").line
    assert "must be among run" in bbsmooth("compare", *runs, "--columns", "speed").line
    assert "is not a run directory" in bbsmooth("compare", *runs, "--baseline", "nowhere").line
