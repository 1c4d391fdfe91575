"""What a report says in words and tables, and that it leaves out what a run does not say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.reporting import single, tables
from bbsmooth.reporting.model import Document
from bbsmooth.reporting.page import page
from bbsmooth.runs.certificates import write_summary
from bbsmooth.runs.directory import RunDirectory, Status
from bbsmooth.runs.reading import Run, read_run
from tests.bbsmooth.reporting.worlds import certified, change, settings, trained, tuned

ACCURACY = [
    {
        "radius": 0.25,
        "empirical": {"value": 0.75, "low": 0.6, "high": 0.9},
        "certified": {"value": 0.5, "low": 0.4, "high": 0.6},
    }
]


def document(path: Path, **changes: Any) -> Document:
    """The report of a run whose manifest says something else besides."""
    change(path / "manifest.json", **changes)
    return single.document(read_run(path), pictured=0)


def attacked(folder: Path, run: Run, contradictions: list[int]) -> Run:
    context = {key: run.manifest[key] for key in ("oracle", "coordinator", "data", "noise_algorithm")}
    asked = settings(run.settings["data"], 40) | {"method": "gradient", "certificates": str(run.path)}
    opened = RunDirectory.open(folder / "attack", command="attack", settings=asked, context=context, resume=False)
    write_summary(
        opened.path, {"method": "gradient", "accuracy": ACCURACY, "contradictions": contradictions, "images": 40}
    )
    opened.mark(Status.DONE)
    opened.close()
    return read_run(opened.path)


def test_the_lead_says_what_was_done_and_found(run: Run) -> None:
    lead, summary = single.document(run, pictured=0).lead, run.summary or {}
    first = summary["certified_accuracy"][0]
    for said in (
        "certified for the classifier test, which was only asked for its answers",
        "gaussian noise of standard deviation 0.5",
        "100 answers chose a class, 1,000 fresh answers bounded its probability",
        f"{100 * first['value']:.1f} % got the right class",
        f"Of 40 images {summary['abstained']} got no certificate",
        "L2 norm is below its radius",
        "wrong with probability at most 0.001",
        "The run spent 44,000 queries, at the stated price 88.00.",
    ):
        assert said in lead


def test_where_every_image_has_a_certificate_no_number_stands_behind_a_radius(run: Run) -> None:
    summary = {**(run.summary or {}), "abstained": 0}
    lead = single.document(replace(run, summary=summary), pictured=0).lead
    assert "No image was left without a certificate." in lead


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    assert (
        "did not come to its end (stopped by the budget)"
        in document(certified(tmp_path), status="stopped by the budget").lead
    )


def test_a_change_of_the_model_is_an_alarm(tmp_path: Path) -> None:
    path = certified(tmp_path)
    assert "By 8 canary images asked again in 3 checks" in document(path, drift={"canaries": 8, "checks": 3}).lead
    changed = {"canaries": 8, "checks": 3, "changed": [{"time": "2026-01-01", "queries": 3, "what": "x"}]}
    assert "ALARM: the classifier was found to have changed (2026-01-01)" in document(path, drift=changed).lead
    assert "changed" not in document(path, drift=None).lead


def test_all_images_together(tmp_path: Path) -> None:
    path = certified(tmp_path)
    joint = {"method": "holm", "alpha": 0.001, "images": 40, "certified": [{"radius": 0.25, "images": 7}]}
    change(path / "summary.json", family_wise=joint)
    lead = document(path, settings=read_run(path).settings | {"family_wise": "holm"}).lead
    assert "any of them is wrong (holm) with probability at most 0.001" in lead
    assert "7 at 0.25" in lead


def test_agreement_is_not_called_accuracy(tmp_path: Path) -> None:
    path = certified(tmp_path)
    change(path / "summary.json", labels="oracle")
    found = document(path)
    assert "got the class that the classifier gives without noise" in found.lead
    assert found.sections[0].title == "Certified agreement"
    assert found.sections[0].charts[0].y.title == "certified agreement"


def test_decisions_are_a_table_where_there_are_any() -> None:
    rows = [{"radius": 0.5, "certified": 3, "undecided": 1, "refuted": 2, "unanswered": 0}]
    table = tables.decisions_table({"decisions": rows})
    assert table is not None
    assert [column.name for column in table.columns] == list(rows[0])
    assert [cell.value for cell in table.rows[0]] == list(rows[0].values())
    assert tables.decisions_table({"decisions": None}) is None


def test_a_ledger_shows_what_it_holds_and_nothing_else() -> None:
    ledger = {"spent": {"select": 3, "tune": 0}, "spent_total": 3, "left": None, "price_per_1000": None, "price": 0.0}
    assert [row[0].value for row in tables.ledger_table(ledger).rows] == ["select", "total"]
    more = ledger | {"attempts": 5, "retries": 2, "bytes": 9000, "latency": {"p50": 0.0123}, "left": 7}
    told = {row[0].value: row[1].text for row in tables.ledger_table(more).rows}
    assert told["left"] == "7"
    assert (told["attempts"], told["retries"], told["bytes"], told["latency p50"]) == ("5", "2", "9,000", "0.0123")


def test_an_attack_stands_beside_what_was_certified(run: Run, tmp_path: Path) -> None:
    attack = attacked(tmp_path, run, [])
    chart = single.accuracy(run, [attack])
    assert chart is not None
    assert [line.name for line in chart.lines] == ["certified accuracy", "under attack (gradient)"]
    assert chart.lines[1].marks == ((0.25, 0.75, 0.6, 0.9),)
    own = single.document(attack)
    assert "Of 40 images none was turned inside its certified radius." in own.lead
    assert [line.marks[0].y for line in own.sections[0].charts[0].lines] == [0.5, 0.75]  # type: ignore[union-attr]


def test_a_contradiction_is_an_alarm(run: Run, tmp_path: Path) -> None:
    lead = single.document(attacked(tmp_path, run, [3, 9])).lead
    assert "ALARM: inside a certified radius, 2 images turned: 3, 9." in lead


def test_attacks_on_something_else_are_refused(run: Run, tmp_path: Path) -> None:
    attack = attacked(tmp_path, run, [])
    single.refuse_foreign(run, [attack])
    change(attack.path / "manifest.json", oracle=dict(run.manifest["oracle"], name="another"))
    with pytest.raises(UsageError, match="its oracle is another one"):
        single.refuse_foreign(run, [read_run(attack.path)])
    with pytest.raises(UsageError, match="a run of `bbsmooth tune`"):
        single.refuse_foreign(run, [read_run(tuned(tmp_path))])


def test_the_whole_manifest_is_in_the_appendix(run: Run) -> None:
    table = single.document(run, pictured=0).appendix[0].tables[0]
    told = {row[0].text: row[1].text for row in table.rows}
    assert told["settings.seed"] == "3"
    assert told["data.fingerprint"] == run.manifest["data"]["fingerprint"]
    assert told["hashes.certificates.jsonl"] == (run.manifest["hashes"] or {})["certificates.jsonl"]
    assert told["versions.torch"]
    assert told["oracle.classes"] == "zero, one, two"


def test_a_run_without_labels_claims_no_accuracy(tmp_path: Path) -> None:
    path = certified(tmp_path)
    lines = [json.loads(line) for line in (path / "certificates.jsonl").read_text().splitlines()]
    lines = [line | {"label": None, "correct": None} for line in lines]
    (path / "certificates.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = json.loads((path / "summary.json").read_text())
    change(path / "summary.json", certified_accuracy=None, acr=None, noisy_accuracy=None)
    chart = single.accuracy(read_run(path))
    assert chart is not None
    assert chart.title == "Certified answers against radius"
    assert [point.y for point in chart.lines[0].marks] == [row["value"] for row in summary["certified"]]


def test_a_training_says_what_it_took_and_gave(tmp_path: Path) -> None:
    said = single.document(read_run(trained(tmp_path)), pictured=0)
    (section,) = said.sections
    assert section.title == "Training"
    assert {cells[0].text: cells[1].text for cells in section.tables[0].rows} == {
        "trained parameters": "500",
        "all parameters": "20,000",
        "share that is trained": "2.5 %",
        "epochs": "2",
        "time of an epoch": "1.5 s",
        "peak memory": "3 MiB",
        "accuracy on clean test images": "96.9 %",
        "accuracy on noisy test images": "75.0 %",
    }
    assert page(said).startswith(b"<!doctype html>")


def test_a_training_under_way_has_a_page_too(tmp_path: Path) -> None:
    path = trained(tmp_path)
    (path / "summary.json").unlink()
    (section,) = single.document(read_run(path), pictured=0).sections
    assert (section.tables, len(section.charts)) == ((), 1)


def test_an_attack_on_some_of_the_images_says_so(run: Run, tmp_path: Path) -> None:
    attack = attacked(tmp_path, run, [])
    change(attack.path / "summary.json", images=12)
    chart = single.accuracy(run, [read_run(attack.path)])
    assert chart is not None
    assert chart.lines[1].name == "under attack (gradient, 12 images of 40)"
