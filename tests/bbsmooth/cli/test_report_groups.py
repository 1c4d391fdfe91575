"""Certified accuracy by group: counts, intervals for all groups together, and what cannot be split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import beta

import bbsmooth as bb
from bbsmooth.errors import UsageError
from bbsmooth.reporting.groups import by_group
from bbsmooth.runs.issuing import read_issued
from tests.bbsmooth.cli.world import World, bbsmooth


@pytest.fixture
def hospitals(world: World) -> str:
    """A column of the file beside the images: A, B, A, B, ..."""
    world.certify()
    path = world.folder / "origin.csv"
    rows = [f"{index},{'AB'[index % 2]}" for index in range(max(one["index"] for one in world.certificates()) + 1)]
    path.write_text("\n".join(["image,hospital", *rows]))
    return f"{path}:hospital"


def test_groups_add_up_to_the_whole_with_wider_intervals(world: World, hospitals: str) -> None:
    rows = by_group(read_issued(world.run), hospitals)
    summary = json.loads((world.run / "summary.json").read_text())
    for whole in summary["certified_accuracy"]:
        parts = [row for row in rows if row["radius"] == whole["radius"]]
        assert [row["group"] for row in parts] == ["A", "B"]
        assert sum(row["images"] for row in parts) == summary["certificates"]
        right = [round(row["value"] * row["images"]) for row in parts]
        assert sum(right) == round(whole["value"] * summary["certificates"])
        for row, count in zip(parts, right, strict=True):
            n = row["images"]
            low = beta.ppf(0.0125, count, n - count + 1) if count else 0.0  # 0.05 / 2 groups, two sides
            high = beta.ppf(1 - 0.0125, count + 1, n - count) if count < n else 1.0
            assert (row["low"], row["high"]) == pytest.approx((low, high), abs=1e-9)


def test_classes_are_groups(world: World) -> None:
    world.certify()
    labels = [str(one["label"]) for one in world.certificates()]
    rows = by_group(read_issued(world.run), "class")
    assert {row["group"]: row["images"] for row in rows} == {name: labels.count(name) for name in set(labels)}
    assert bb.load(world.run).by_group("class") == rows  # type: ignore[union-attr]


def test_groups_that_are_numbers_come_in_their_order(world: World) -> None:
    world.certify()
    last = max(one["index"] for one in world.certificates())
    path = world.folder / "ward.csv"
    path.write_text("\n".join(["ward", *("icu", "10", "9", "100")[: last + 1], *["9"] * (last - 3)]))
    found = [row["group"] for row in by_group(read_issued(world.run), f"{path}:ward")]
    present = {path.read_text().split()[1 + one["index"]] for one in world.certificates()}
    assert list(dict.fromkeys(found)) == [name for name in ("9", "10", "100", "icu") if name in present]
    assert len(present) > 2


@pytest.mark.parametrize("form", ["text", "md", "tex", "json"])
def test_every_form_with_tables_has_them(form: str, world: World, hospitals: str) -> None:
    done = bbsmooth("report", world.run, "--format", form, "--groups", hospitals)
    assert done.status == 0
    assert "hospital" in done.out or form == "json"
    if form == "json":
        assert json.loads(done.out)["groups"] == by_group(read_issued(world.run), hospitals)
    assert bbsmooth("report", world.run, "--format", form).out != done.out


def test_the_page_has_them(world: World, hospitals: str) -> None:
    assert bbsmooth("report", world.run, "--groups", hospitals).status == 0
    assert "Certified accuracy by hospital" in (world.run / "report.html").read_text()


def test_figures_and_logs_refuse_them(world: World) -> None:
    world.certify("--limit", 1)
    done = bbsmooth("report", world.run, "--format", "tsv", "--groups", "class")
    assert (done.status, done.out) == (2, "")
    assert "--groups goes with html, text, json, md and tex, not with tsv" in done.err


def test_a_file_with_too_few_rows_is_refused(world: World, tmp_path: Path) -> None:
    world.certify()
    (tmp_path / "short.csv").write_text("hospital\nA\n")
    with pytest.raises(UsageError, match=r"has 1 rows, and image \d+ of .* needs one"):
        by_group(read_issued(world.run), f"{tmp_path / 'short.csv'}:hospital")
