"""Runs whose noise was drawn as by version 0.1 go on, are reused and compared with that; no run mixes two."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bbsmooth.cli.main import app
from bbsmooth.noise.algorithms import CELLS, ZIGGURAT
from bbsmooth.runs.directory import read_manifest
from bbsmooth.verification.run import verify
from tests.bbsmooth.golden.commands import COMMANDS, RUNS, prepare


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def now(name: str) -> tuple[str, ...]:
    """The command as somebody gives it who says nothing of algorithms."""
    said = COMMANDS[name]
    place = said.index("--noise-algorithm") if "--noise-algorithm" in said else len(said)
    return said[:place] + said[place + 2 :]


def run(command: Sequence[str], *, out: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, [*command, "--out", out])
    assert done.exit_code == status, done.output
    return done.output


def as_of_before(name: str, *, out: str) -> Path:
    """A run whose manifest is one of version 0.1: it names the algorithm, and none of its settings does."""
    run(COMMANDS[name], out=out)
    manifest: dict[str, Any] = dict(read_manifest(Path(out)))
    del manifest["settings"]["noise_algorithm"]
    (Path(out) / "manifest.json").write_text(json.dumps(manifest | {"hashes": None}))
    return Path(out)


def spent(run: Path) -> int:
    return sum(json.loads((run / "ledger.json").read_text())["spent"].values())


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "certificates.jsonl").read_text().splitlines()]


def test_a_new_run_draws_exactly_and_is_verified(world: Path) -> None:
    run(now("cohen"), out="new")
    assert read_manifest(world / "new")["noise_algorithm"] == CELLS
    assert read_manifest(world / "new")["settings"]["noise_algorithm"] == CELLS
    found = verify(world / "new")
    assert (found.findings, found.unchecked) == ((), ())


def test_a_run_of_before_grows_with_its_noise(world: Path) -> None:
    """More images: those of before keep their lines, and every line follows from draws of before."""
    before = lines(as_of_before("cohen", out="old"))
    command = [*now("cohen"), "--limit", "6", "--resume"]
    run(command, out="old")
    assert read_manifest(world / "old")["noise_algorithm"] == ZIGGURAT
    after = lines(world / "old")
    assert len(after) == 6
    assert after[: len(before)] == before
    found = verify(world / "old")
    assert (found.findings, found.unchecked) == ((), ())


def test_a_run_is_not_resumed_with_other_noise(world: Path) -> None:
    shutil.copytree(RUNS / "cohen", world / "old")
    said = run([*now("cohen"), "--noise-algorithm", CELLS, "--resume"], out="old", status=2)
    assert f"was begun with --noise-algorithm {ZIGGURAT}, not {CELLS}" in " ".join(said.split())


def test_answers_of_a_run_of_before_are_reused_with_its_noise(world: Path) -> None:
    as_of_before("sequential", out="old")
    run([*now("sequential"), "--reuse", "old"], out="again")
    assert read_manifest(world / "again")["noise_algorithm"] == ZIGGURAT
    assert spent(world / "again") == 0
    said = run([*now("sequential"), "--reuse", "old", "--noise-algorithm", CELLS], out="other", status=2)
    assert "the noise algorithm of old is not the one that is asked now" in " ".join(said.split())
    assert not (world / "other").exists() or not (world / "other" / "manifest.json").exists()


def test_a_changed_classifier_is_certified_with_the_noise_of_before(world: Path) -> None:
    shutil.copytree(RUNS / "cohen", world / "cohen")
    run(now("changed"), out="changed")
    assert read_manifest(world / "changed")["noise_algorithm"] == ZIGGURAT
    shutil.copytree(RUNS / "changed", world / "then")
    taken = {"seconds"}
    for then, again in zip(lines(world / "then"), lines(world / "changed"), strict=True):
        assert {key: again[key] for key in then.keys() - taken} == {key: then[key] for key in then.keys() - taken}


def test_an_attack_is_on_the_classifier_that_was_certified(world: Path) -> None:
    shutil.copytree(RUNS / "cohen", world / "cohen")
    command = ("attack", "cohen", "--radius", "0.25", "--limit", "1", "--method", "hopskipjump")
    run([*command, "--search", "4", "--judge", "20"], out="attacked")
    assert read_manifest(world / "attacked")["noise_algorithm"] == ZIGGURAT


def test_runs_of_both_algorithms_stand_in_one_table(world: Path) -> None:
    run(now("cohen"), out="new")
    shutil.copytree(RUNS / "cohen", world / "old")
    done = CliRunner().invoke(app, ["compare", "old", "new", "--baseline", "old"])
    assert done.exit_code == 0, done.output


def test_an_unknown_algorithm_is_one_line(world: Path) -> None:
    said = run([*now("cohen"), "--noise-algorithm", "mersenne"], out="new", status=2)
    assert f"--noise-algorithm must be {CELLS} or {ZIGGURAT}, got 'mersenne'" in " ".join(said.split())
