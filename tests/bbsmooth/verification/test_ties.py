"""A run that was made smaller, or asked for otherwise afterwards, is found although everything in it fits again."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.files import write_json
from bbsmooth.runs.hashes import run_hashes
from bbsmooth.runs.lines import write_lines
from bbsmooth.runs.reading import read_run
from bbsmooth.verification.run import verify
from bbsmooth.verification.totals import expected_summary
from oracles.ledger_file import checksum
from tests.bbsmooth.golden.commands import RUNS

Lines = list[dict[str, Any]]


def forged(
    run: Path,
    *,
    lines: Callable[[Lines], Lines] = lambda lines: lines,
    ledger: Callable[[dict[str, Any]], dict[str, Any]] = lambda ledger: ledger,
    manifest: dict[str, Any] | None = None,
    **settings: Any,
) -> str:
    """Change a run so that lines, summary, checksum and hashes fit, and return what is found nevertheless."""
    said: dict[str, Any] = {**read_manifest(run), **(manifest or {})}
    write_json(run / "manifest.json", said | {"settings": said["settings"] | settings})
    path = run / "certificates.jsonl"
    write_lines(path, lines([json.loads(line) for line in path.read_text().splitlines()]))
    found = read_run(run)
    again = expected_summary(found, found.certificates or [], (found.summary or {})["seconds"])
    write_json(run / "summary.json", again | {"labels": "data"})
    kept = ledger(json.loads((run / "ledger.json").read_text()))
    write_json(run / "ledger.json", kept | {"checksum": checksum(kept)})
    write_json(run / "manifest.json", dict(read_manifest(run)) | {"hashes": run_hashes(run, read_manifest(run))})
    return "\n".join(verify(run).findings)


def without(*indices: int) -> Callable[[Lines], Lines]:
    return lambda lines: [line for line in lines if line["index"] not in indices]


def spent(**queries: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A ledger that fits itself."""

    def changed(ledger: dict[str, Any]) -> dict[str, Any]:
        purposes = ledger["spent"] | queries
        return ledger | {"spent": purposes, "spent_total": sum(purposes.values())}

    return changed


@pytest.fixture(params=["cohen", "sequential"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUNS / request.param, tmp_path / request.param))


@pytest.fixture
def cohen(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUNS / "cohen", tmp_path / "cohen"))


def test_nothing_is_found_where_nothing_was_changed(run: Path) -> None:
    assert forged(run) == ""


def test_fewer_images_leave_answers_over(run: Path) -> None:
    found = forged(run, lines=without(3), limit=3)
    assert "answers are on record for images, or under settings, that no certificate names" in found


def test_a_line_that_is_gone_is_missed_whatever_the_status_says(run: Path) -> None:
    assert "image 1 has no certificate" in forged(run, lines=without(1))
    found = forged(run, manifest={"status": "stopped by the budget"})
    assert "image 1 has all its answers on record, and no certificate" in found


def test_a_resumed_run_may_leave_images_that_it_began_and_no_others(run: Path) -> None:
    resumed = {"resumed": ["2026-11-30T12:00:00+00:00"]}
    found = forged(run, lines=without(2, 3), limit=2, manifest=resumed)
    assert "image 2 has all its answers on record, and no certificate" in found
    with sqlite3.connect(run / "responses" / "cache.db") as database:
        database.execute("DELETE FROM Cache WHERE rowid = (SELECT max(rowid) FROM Cache WHERE length(value) >= 4096)")
    database.close()
    assert "image 3" not in forged(run, manifest=resumed)


def test_fewer_draws_leave_answers_over(cohen: Path) -> None:
    found = forged(cohen, num_estimation=199, lines=lambda lines: [line | {"n": 199} for line in lines])
    assert "200 answers for the bound are on record, the settings allow 199" in found


def test_fewer_votes_for_the_class_leave_answers_over(cohen: Path) -> None:
    fewer = {"n0": 19, "selection_votes": 19, "queries": 219}
    found = forged(cohen, num_selection=19, lines=lambda lines: [line | fewer for line in lines])
    assert "20 answers for the selection are on record, the settings say 19" in found


@pytest.mark.parametrize("setting", [{"seed": 8}, {"sigma": 0.3}, {"alpha": 0.02}, {"noise": "uniform"}], ids=str)
def test_other_settings_are_not_those_of_the_answers(run: Path, setting: dict[str, Any]) -> None:
    fits = {key: value for key, value in setting.items() if key != "seed"}
    assert forged(run, lines=lambda lines: [line | fits for line in lines], **setting)


def test_radii_that_are_gone_were_decided(tmp_path: Path) -> None:
    run = Path(shutil.copytree(RUNS / "sequential", tmp_path / "run"))
    assert "do not follow from the counts" in forged(run, radii=[0.2])


def test_a_budget_stands_in_the_ledger(run: Path) -> None:
    assert "the budget in queries is None, the manifest says 900" in forged(run, budget=900)


def test_answers_that_are_gone_with_their_line_were_paid_for(cohen: Path) -> None:
    database = sqlite3.connect(cohen / "responses" / "cache.db")
    keys = [key for (key,) in database.execute("SELECT key FROM Cache WHERE length(value) >= 4096 ORDER BY rowid")]
    database.executemany("DELETE FROM Cache WHERE key = ?", [(key,) for key in keys[-2:]])
    database.commit()
    database.close()
    found = forged(cohen, lines=without(3), limit=3)
    assert "ledger.json: 880 queries were spent on votes" in found


def test_answers_that_are_not_paid_for_are_found(run: Path) -> None:
    assert "answers are on record" in forged(run, ledger=spent(estimate=7))


def test_what_was_paid_is_missed_where_the_record_is_not_at_hand(cohen: Path) -> None:
    shutil.rmtree(cohen / "responses")
    found = forged(cohen, lines=without(3), limit=3)
    assert "ledger.json: 880 queries were spent on votes, the certificates rest on 660" in found


def test_a_vote_that_was_changed_is_found(tmp_path: Path) -> None:
    run = Path(shutil.copytree(RUNS / "cohen", tmp_path / "run"))
    with sqlite3.connect(run / "responses" / "cache.db") as database:
        rows = database.execute("SELECT rowid, value FROM Cache WHERE length(value) >= 4096").fetchall()
        for row, value in rows:
            database.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (b"\x05" + value[1:], row))
    database.close()
    assert verify(run).findings
