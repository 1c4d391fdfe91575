"""Runs that bbsmooth 0.1 made stay readable, and the same commands make the same certificates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bbsmooth.cli.main import app
from bbsmooth.reporting.compare import compare
from bbsmooth.reporting.report import report
from bbsmooth.runs.certificates import read_certificates, read_summary
from bbsmooth.runs.decoding import with_methods_of_today
from bbsmooth.runs.reading import read_run, run_json
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.verification.differing import differences
from bbsmooth.verification.run import verify
from tests.bbsmooth.golden.commands import COMMANDS, RUNS, STATUS, prepare

_COMPLETE = ("cohen", "sequential", "splitting", "budget-ended")
"""Kept with the answers."""

_BARE = ("tune", "train")
"""Kept without their weights."""

_CERTIFIED = [name for name, command in COMMANDS.items() if command[0] == "certify"]
SETTINGS: dict[str, Any] = {"num_selection": 5, "num_estimation": 9, "alpha": 0.1, "radii": (), "limit": None}
_TAKEN = ("seconds",)
"""What no two runs share."""


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    prepare(folder)
    return folder


def made(name: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run, made by today's code, after those that its command names."""
    monkeypatch.chdir(world)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for each in (*(word for word in COMMANDS[name][1:] if word in COMMANDS), name):
        if not (world / each).exists():
            done = CliRunner().invoke(app, [*COMMANDS[each], "--out", each, "--json"])
            assert done.exit_code == STATUS.get(each, 0), done.output
    return world / name


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_of_before_is_read_and_reported(name: str, tmp_path: Path) -> None:
    found = run_json(RUNS / name)
    assert found["command"] == COMMANDS[name][0]
    assert found["status"] == ("stopped by the budget" if name == "budget-ended" else "done")
    for form in ("text", "md", "tex", "html"):
        report(RUNS / name, format=form, out=tmp_path / f"a.{form}", pictured=2)
        assert (tmp_path / f"a.{form}").stat().st_size > 100


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in _BARE])
def test_a_run_of_before_is_verified(name: str, tmp_path: Path) -> None:
    found = verify(Path(shutil.copytree(RUNS / name, tmp_path / name)))
    assert found.findings == ()
    if name in _COMPLETE:
        assert all("the run has no commitment" in line for line in found.unchecked)


def test_a_method_of_before_has_the_name_of_today(tmp_path: Path) -> None:
    run = Path(shutil.copytree(RUNS / "growing", tmp_path / "run"))
    assert '"growing"' in (run / "manifest.json").read_text()
    assert read_run(run).settings["method"] == "adaptive"
    assert {line["method"] for line in read_certificates(run)} == {"adaptive"}
    assert CertifyConfig(**SETTINGS, method="growing") == CertifyConfig(**SETTINGS, method="adaptive")
    planned = tmp_path / "planned"
    planned.mkdir()
    (planned / "summary.json").write_text('{"expected": [{"method": "growing"}, {"method": "cohen"}]}')
    assert [row["method"] for row in read_summary(planned)["expected"]] == ["adaptive", "cohen"]


def test_runs_of_before_are_compared(tmp_path: Path) -> None:
    runs = [RUNS / name for name in (*_CERTIFIED, "import-log", "tune")]
    compare(runs, format="html", out=tmp_path / "all.html")
    found = json.loads(compare(runs, format="json", out=None))
    assert [run["run"] for run in found["runs"]] == [run.name for run in runs]


@pytest.mark.parametrize("name", _CERTIFIED)
def test_the_same_command_gives_the_same_certificates(name: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a budget that ends the images that both runs decided: which those are is for the policy to choose."""
    said, again = (lines(run / "certificates.jsonl") for run in (RUNS / name, made(name, world, monkeypatch)))
    decided = {line["index"]: line for line in again}
    assert len(said) == len(again)
    both = [before for before in said if name != "budget-ended" or before["index"] in decided]
    assert len(both) >= 2
    for before in both:
        kept = {key: decided[before["index"]].get(key) for key in before if key not in _TAKEN}
        wanted = {key: value for key, value in with_methods_of_today(before).items() if key not in _TAKEN}
        assert list(differences(wanted, kept)) == []


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("predict", "predictions.json"),
        ("import-log", "certificates.jsonl"),
        pytest.param("attack", "attacks.jsonl", marks=pytest.mark.slow),
    ],
)
def test_the_same_command_finds_the_same(name: str, file: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, again = (run / file for run in (RUNS / name, made(name, world, monkeypatch)))
    read = lines if file.endswith("l") else lambda path: json.loads(path.read_text())
    for before, now in zip(read(said), read(again), strict=True):
        assert list(differences(before, {key: now.get(key) for key in before})) == []
