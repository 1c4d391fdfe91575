"""Valid runs at the edge: every form of report and comparison has something to say about each."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.reporting.compare import FORMATS as COMPARED
from bbsmooth.reporting.compare import compare
from bbsmooth.reporting.report import FORMATS as REPORTED
from bbsmooth.reporting.report import report
from bbsmooth.runs.layout import CERTIFICATES
from bbsmooth.runs.summary import summarize
from tests.bbsmooth.golden import test_golden
from tests.bbsmooth.reporting.worlds import PLAN, RADII, certified, change, cut, sequential, trained, tuned

GOLDEN = Path(test_golden.__file__).parent / "runs-0.1"


def changed(folder: Path, each: Callable[[dict[str, Any]], dict[str, Any]], radii: tuple[float, ...] = RADII) -> Path:
    """A run in which every line is another, with the summary of these."""
    path = certified(folder, images=6)
    lines = [line | each(line) for line in map(json.loads, (path / CERTIFICATES).read_text().splitlines())]
    (path / CERTIFICATES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = summarize(lines, radii, images=len(lines), seconds=0.0, largest_radius=PLAN.largest_radius)
    (path / "summary.json").write_text(json.dumps(summary))
    return path


ABSTAINED = {"abstained": True, "reason": "unproven", "predicted": None, "correct": False, "radius": None}


def without(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).unlink()
    return path


def predicted(folder: Path, counts: dict[str, int]) -> Path:
    path = without(certified(folder, images=2), CERTIFICATES, "summary.json")
    manifest = json.loads((path / "manifest.json").read_text())
    settings = manifest["settings"] | {"files": ["a.png"], "n": 10}
    change(path / "manifest.json", command="predict", settings=settings)
    entry = {"file": "a.png", "predicted": None, "name": None, "abstained": True, "reason": "refused"}
    (path / "predictions.json").write_text(json.dumps([entry | {"p_value": 1.0, "alpha": 0.01, "counts": counts}]))
    return path


def eventless(folder: Path) -> Path:
    path = without(tuned(folder), "summary.json")
    (path / "history.jsonl").write_text("")
    return path


def diverged(folder: Path) -> Path:
    path = tuned(folder)
    events = [{"step": 0, "queries": 500, "heldout_accuracy": None}, {"step": 1, "queries": 600, "loss": math.nan}]
    (path / "history.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


ODD: dict[str, Callable[[Path], Path]] = {
    "no image yet": lambda folder: cut(certified(folder), 0),
    "killed before the summary": lambda folder: without(certified(folder), "summary.json"),
    "killed before anything": lambda folder: without(certified(folder), "summary.json", CERTIFICATES, "ledger.json"),
    "a single image": lambda folder: certified(folder, images=1),
    "all abstained": lambda folder: changed(folder, lambda line: ABSTAINED),
    "all refused": lambda folder: changed(
        folder, lambda line: ABSTAINED | {"reason": "refused", "selected": None, "counts": {}, "n": 0, "p_lower": 0.0}
    ),
    "radius 0 alone": lambda folder: sequential(folder, 0.0, name="run", images=6),
    "every radius 0": lambda folder: changed(folder, lambda line: {"radius": 0.0, "abstained": False}, (0.0,)),
    "no labels": lambda folder: changed(folder, lambda line: {"label": None, "correct": None}),
    "no labels, all abstained": lambda folder: changed(
        folder, lambda line: ABSTAINED | {"label": None, "correct": None}
    ),
    "no radii": lambda folder: changed(folder, lambda line: {}, ()),
    "an open set": lambda folder: certified(folder, images=6, classes=("a cat", "<b>dog</b>", ""), open_set=True),
    "a tiny sigma": lambda folder: changed(
        folder, lambda line: {"radius": 1e-9 if line["radius"] else None, "sigma": 1e-9}, (0.0, 1e-9)
    ),
    "a huge radius": lambda folder: changed(folder, lambda line: {"radius": 1e12 if line["radius"] else None}),
    "a refused prediction": lambda folder: predicted(folder, {}),
    "an abstained prediction": lambda folder: predicted(folder, {"0": 5, "1": 5}),
    "a tuning without an event": eventless,
    "a tuning that diverged": diverged,
    "a training": trained,
    "a training that was killed": lambda folder: without(trained(folder), "summary.json"),
}


def said(path: Path, form: str, out: Path) -> str:
    """What is printed; a run that has nothing to show in a form may say so in one line."""
    try:
        return report(path, format=form, out=out if form in ("html", "png", "svg") else None, pictured=2)
    except UsageError as error:
        if form not in ("png", "svg", "tsv"):
            raise
        return str(error)


@pytest.mark.parametrize("form", REPORTED)
@pytest.mark.parametrize("name", ODD)
def test_every_form_of_a_report_of_an_odd_run(name: str, form: str, tmp_path: Path) -> None:
    found = said(ODD[name](tmp_path), form, tmp_path / f"out.{form}")
    assert not re.search(r"\b(nan|None)\b", found) or form == "json"


@pytest.mark.parametrize("name", ODD)
def test_an_odd_run_beside_an_even_one(name: str, tmp_path: Path) -> None:
    (tmp_path / "even").mkdir()
    runs = [ODD[name](tmp_path), certified(tmp_path / "even", images=6)]
    for form in COMPARED:
        out = tmp_path / f"out.{form}"
        compare(runs, format=form, out=out)
        assert out.stat().st_size


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()))
def test_runs_of_before_have_every_form(name: str, tmp_path: Path) -> None:
    path = Path(shutil.copytree(GOLDEN / name, tmp_path / "run"))
    for form in REPORTED:
        assert said(path, form, tmp_path / f"out.{form}")


def test_a_tiny_radius_is_not_rounded_to_nothing(tmp_path: Path) -> None:
    path = ODD["a tiny sigma"](tmp_path)
    text = report(path, format="text", out=None, pictured=0)
    assert "1e-09" in text
    assert "ACR 0.000" not in text
    report(path, format="html", out=None, pictured=0)
    page = (path / "report.html").read_text()
    embedded = page.split('id="gallery-data">')[1].split("</script>")[0]
    radii = [row[4] for row in json.loads(embedded)["rows"] if row[4] is not None]
    assert radii
    assert all(0 < radius <= 1e-9 for radius in radii)
