from __future__ import annotations

from pathlib import Path

import pytest

from bbsmooth.assemble import describe
from bbsmooth.errors import UsageError
from bbsmooth.reporting.text import run_log, run_text
from bbsmooth.runs.directory import RunDirectory, Status
from bbsmooth.runs.files import write_json
from bbsmooth.runs.reading import run_json
from bbsmooth.runs.summary import summarize
from oracles import Budget, Ledger, Purpose
from tests.bbsmooth.reporting.worlds import DIGITS, settings
from tests.builders import spec


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    context = describe(spec(3), None) | {"data": DIGITS}
    opened = RunDirectory.open(
        tmp_path, command="certify", settings=settings("mnist5k", 40), context=context, resume=False
    )
    ledger = Ledger(Budget(queries=5000, price_per_1000=2), tmp_path / "ledger.json")
    ledger.charge(1234, purpose=Purpose.ESTIMATE)
    opened.mark(Status.DONE)
    opened.close()
    return opened


def test_the_ledger_is_told(run: RunDirectory) -> None:
    text = run_text(run.path)
    assert "queries spent: 1,234 (estimate 1,234), 3,766 left; price 2.47" in text
    assert "noise   gaussian, sigma 0.5" in text


def test_a_run_that_is_not_complete_says_so(run: RunDirectory) -> None:
    write_json(run.path / "summary.json", summarize([], [0.0], images=1200, seconds=1))
    assert "0 of 1,200 images, 0 abstentions" in run_text(run.path)


def test_a_run_at_work_is_told_from_a_dead_one(run: RunDirectory) -> None:
    again = RunDirectory.open(run.path, command="certify", settings=run.manifest["settings"], context={}, resume=True)
    assert run_json(run.path)["status"] == "running"
    again.close()
    assert run_json(run.path)["status"] == "killed"


@pytest.mark.parametrize("file", ["ledger.json", "summary.json", "predictions.json"])
def test_a_file_that_cannot_be_read_is_named(run: RunDirectory, file: str) -> None:
    (run.path / file).write_text("{")
    with pytest.raises(UsageError, match=f"cannot read .*{file}"):
        run_json(run.path)


def test_only_certificates_make_a_log(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name a run of `bbsmooth certify`"):
        run_log(run.path)
    with pytest.raises(UsageError, match="is not a run directory"):
        run_log(tmp_path / "nowhere")
