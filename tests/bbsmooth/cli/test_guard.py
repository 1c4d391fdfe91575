"""Every failure as one line, in one place."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from bbsmooth.cli.guard import guarded
from bbsmooth.cli.notes import notes_shown
from bbsmooth.data import DataError
from bbsmooth.errors import UsageError
from bbsmooth.runs.directory import RunDirectory
from oracles import AnswerError, BudgetExhausted, OracleUnavailable, ShapeError, StorageError
from tests.waiting import LONG, until

ROOT = Path(__file__).parents[3]

SPENT = BudgetExhausted(requested=5, remaining=2, purpose="estimate")


def ended(error: BaseException, out: Path | None = None, *, as_json: bool = False) -> int:
    with pytest.raises(typer.Exit) as left, guarded(out, as_json=as_json):
        raise error
    return left.value.exit_code


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UsageError("no"), 2, "error: no"),
        (DataError("no"), 2, "error: no"),
        (ShapeError("no"), 2, "error: no"),
        (SPENT, 3, "stopped by the budget: 5 more queries to estimate do not fit, 2 are left"),
        (OracleUnavailable("no\n answer"), 4, "stopped by the oracle: no answer"),
        (AnswerError("no"), 4, "stopped by the oracle: no"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (StorageError("no room"), 1, "failed: no room"),
        (OSError(28, "No space left on device", "file"), 1, "failed: [Errno 28] No space left on device: 'file'"),
        (ZeroDivisionError("by\nzero"), 1, "failed: ZeroDivisionError: by zero; BBSMOOTH_DEBUG=1 shows where"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_kind_of_error_has_its_status_and_line(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error) == status
    assert capsys.readouterr() == ("", line + "\n")
    assert ended(error, as_json=True) == status
    assert json.loads(capsys.readouterr().out) == {"error": line, "exit_status": status}


def test_a_run_that_was_begun_can_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunDirectory.open(tmp_path, command="test", settings={}, context={}, resume=False).close()
    saved = f"; everything so far is saved in {tmp_path}, and the same command with"
    for error in (OracleUnavailable("no"), KeyboardInterrupt(), ValueError("no"), OSError("no")):
        ended(error, tmp_path)
        assert capsys.readouterr().err.endswith(f"{saved} --resume goes on from there\n")
    ended(SPENT, tmp_path)
    assert f"{saved} a larger --budget (or --max-price, --max-attempts) and --resume goes on" in capsys.readouterr().err
    ended(UsageError("no"), tmp_path)
    assert capsys.readouterr().err == "error: no\n"


def test_nothing_is_promised_where_nothing_was_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended(KeyboardInterrupt(), tmp_path)
    assert capsys.readouterr().err == "interrupted\n"


def test_who_wants_to_know_sees_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BBSMOOTH_DEBUG", "1")
    assert ended(ZeroDivisionError("here"), as_json=True) == 1
    shown = capsys.readouterr()
    assert "Traceback" in shown.err
    assert json.loads(shown.out)["exit_status"] == 1


def test_sigterm_is_an_interrupt_inside_only() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as left, guarded():
        signal.raise_signal(signal.SIGTERM)
    assert left.value.exit_code == 130
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("asked", [[], ["--json"]])
@pytest.mark.parametrize(
    "loading",
    [
        "time.sleep(60)",
        "try:\n    time.sleep(60)\nexcept BaseException as error:\n    raise ImportError('broken') from error",
    ],
    ids=["plain", "swallowed"],
)
def test_an_interrupt_while_the_command_is_loaded_is_one_line(loading: str, asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(
        f"import time\nfrom pathlib import Path\nPath({str(tmp_path / 'on')!r}).touch()\n{loading}\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "bbsmooth", "oracle", "list", *asked],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    until(lambda: (tmp_path / "on").exists())
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=LONG)
    assert (child.returncode, err) == (130, "interrupted\n")
    assert [json.loads(line) for line in out.splitlines()] == [{"error": "interrupted", "exit_status": 130}] * len(
        asked
    )


def test_an_interrupt_that_the_parent_ignores_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\nraise SystemExit(7)\n")
    child = subprocess.run(
        [sys.executable, "-m", "bbsmooth", "oracle", "list"],
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN) and None,  # as a shell does with `command &`
    )
    assert (child.returncode, child.stderr) == (7, b"")


def test_an_interrupt_that_became_an_import_error_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    error = ImportError("numpy failed to import")
    error.__cause__ = KeyboardInterrupt()
    assert ended(error) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    "url",
    ["ftp://me:hunter2@host/run", "ftp:/me:hunter2@host/x", "s3::sftp://me:hunter2@host:22/run", "ftp://:hun/ter2@h/x"],
)
def test_no_password_in_a_url_is_repeated(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BBSMOOTH_DEBUG", "1")
    ended(UsageError(f"cannot write {url}: no such place"), as_json=True)
    shown = "".join(capsys.readouterr())
    assert "ter2" not in shown
    assert "***@h" in shown


def test_an_address_without_a_password_is_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    ended(UsageError("sftp://me@host:22/run and http://host:8080/a@b are not runs"))
    assert capsys.readouterr().err == "error: sftp://me@host:22/run and http://host:8080/a@b are not runs\n"


def test_a_manifest_keeps_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bbsmooth", "certify", "--coordinator", "ftp://me:hunter2@host/run"])
    RunDirectory.open(tmp_path, command="test", settings={}, context={}, resume=False).close()
    assert "hunter2" not in (tmp_path / "manifest.json").read_text()


def test_no_note_holds_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    with notes_shown():
        logging.getLogger("bbsmooth.runs").warning("cannot reach %s; tried again", "ftp://me:hunter2@host/run")
    assert capsys.readouterr().err == "cannot reach ftp://me:***@host/run; tried again\n"
