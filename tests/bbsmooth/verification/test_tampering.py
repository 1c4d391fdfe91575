"""Whatever somebody changes in a run is found: by the hash, and where it can be computed again also without it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bbsmooth import data
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.hashes import run_hashes
from bbsmooth.verification.run import verify
from tests.bbsmooth.reporting.worlds import certified, change, tuned

Record = dict[str, Any]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return certified(tmp_path)


def rehash(run: Path) -> None:
    """Make the hashes fit whatever the files say now."""
    manifest = read_manifest(run)
    change(run / "manifest.json", hashes=run_hashes(run, manifest))


def findings(run: Path) -> str:
    """What is wrong although all hashes fit."""
    rehash(run)
    found = verify(run)
    assert found.verified is not bool(found.findings)
    return "\n".join(found.findings)


def edit(run: Path, line: int, **changes: Any) -> None:
    path = run / "certificates.jsonl"
    lines = path.read_text().splitlines()
    lines[line] = json.dumps(json.loads(lines[line]) | changes)
    path.write_text("".join(f"{text}\n" for text in lines))


def record(run: Path, line: int) -> Record:
    return dict(json.loads((run / "certificates.jsonl").read_text().splitlines()[line]))


def certified_line(run: Path) -> int:
    return next(line for line in range(40) if record(run, line)["correct"])


def test_an_honest_run_is_verified(run: Path, tmp_path: Path) -> None:
    assert verify(run).findings == ()
    assert len(verify(run).checks) == 4
    assert verify(tuned(tmp_path)).findings == ()


def test_hashes_that_fit_again_hide_nothing_of_an_honest_run(run: Path) -> None:
    assert findings(run) == ""


@pytest.mark.parametrize("name", ["certificates.jsonl", "summary.json", "ledger.json"])
def test_every_byte_of_every_file_counts(run: Path, name: str) -> None:
    path = run / name
    path.write_text(path.read_text() + " \n")
    assert any(f"{name} is not as it was" in line for line in verify(run).findings)


def test_files_that_come_or_go_are_found(run: Path) -> None:
    (run / "extra.json").write_text("{}")
    (run / "ledger.json").unlink()
    found = "\n".join(verify(run).findings)
    assert "extra.json was not there" in found
    assert "ledger.json is gone" in found
    assert "ledger.json is gone" in found


@pytest.mark.parametrize("key", ["arguments", "started", "ended", "versions", "oracle", "noise_algorithm", "status"])
def test_every_entry_of_the_manifest_counts(run: Path, key: str) -> None:
    said: Any = dict(read_manifest(run))[key]
    kinds: dict[type, Any] = {list: ["changed"], dict: dict(said, name="changed") if isinstance(said, dict) else None}
    change(run / "manifest.json", **{key: kinds.get(type(said), "changed")})
    assert any("manifest.json is not as it was" in line for line in verify(run).findings)


def test_a_report_beside_the_files_changes_nothing(run: Path) -> None:
    (run / "report.html").write_text("<p>")
    assert verify(run).verified


CHANGES: dict[str, tuple[Callable[[Record], Record], str]] = {
    "radius": (lambda line: {"radius": line["radius"] * 1.01}, "the votes prove"),
    "p_lower": (lambda line: {"p_lower": min(1.0, line["p_lower"] + 1e-6)}, "votes of 1000 give|1000 votes give"),
    "both": (lambda line: {"p_lower": 0.9999, "radius": 1.8595}, "votes give"),
    "counts": (lambda line: {"counts": {str(line["selected"]): 1000}}, "give"),
    "one vote more": (
        lambda line: {"counts": line["counts"] | {str(line["selected"]): line["counts"][str(line["selected"])] + 1}},
        "counts add up to 1001",
    ),
    "negative votes": (lambda line: {"counts": {str(line["selected"]): 1001, "9": -1}}, "Expected `int` >= 0"),
    "n": (lambda line: {"n": 900, "queries": 1000}, "the settings say 1000"),
    "n0": (lambda line: {"n0": 10, "queries": 1010}, "n0 is 10, the settings say 100"),
    "queries": (lambda line: {"queries": 3}, "queries is 3, n0 \\+ n is 1100"),
    "alpha": (lambda line: {"alpha": 0.01}, "alpha is 0.01, the settings say 0.001"),
    "sigma": (lambda line: {"sigma": 1.0}, "sigma is 1.0, the settings say 0.5"),
    "noise": (lambda line: {"noise": "laplace"}, "noise is 'laplace'"),
    "norm": (lambda line: {"norm": "linf"}, "norm is 'linf'"),
    "method": (lambda line: {"method": "sequential"}, "method is 'sequential'"),
    "total_variation": (lambda line: {"total_variation": 0.0}, "which no grid has for images of 1x8x8"),
    "predicted": (lambda line: {"predicted": line["predicted"] + 1}, "predicted is"),
    "correct": (lambda line: {"correct": False}, "correct is False"),
    "label": (lambda line: {"label": line["label"] + 1}, "correct is True"),
    "abstained": (lambda line: {"abstained": True}, "abstained is True"),
    "reason": (lambda line: {"reason": "refused"}, "something is proven"),
    "selected": (lambda line: {"selected": line["selected"] + 1}, "predicted is"),
    "a reason": (lambda line: {"reason": "unproven"}, "abstained is False, the reason 'unproven'"),
    "details": (lambda line: {"details": {"p_upper": 0.001}}, "none of this bound's"),
    "decisions": (
        lambda line: {"decisions": [{"radius": 0.5, "state": "certified", "draws": 9, "successes": 9}]},
        "none of this bound's",
    ),
    "seconds": (lambda line: {"seconds": float("nan")}, "at `$.seconds`"),
    "nothing": (lambda line: {"counts": None}, "is not a certificate"),
    "text": (lambda line: {"radius": "large"}, "is not a certificate"),
    "nan": (lambda line: {"radius": float("nan")}, "at `$.radius`"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_follow_from_the_counts_is_found(run: Path, name: str) -> None:
    line = certified_line(run)
    changes, message = CHANGES[name]
    edit(run, line, **changes(record(run, line)))
    found = findings(run)
    assert re.search(rf"certificates.jsonl, (image {record(run, line)['index']}:|line {line + 1}, is not)", found)
    assert any(part.replace("\\", "") in found for part in message.split("|")), found


def test_an_abstention_cannot_become_a_certificate(run: Path) -> None:
    line = next(line for line in range(40) if record(run, line)["abstained"])
    found = record(run, line)
    edit(
        run, line, abstained=False, radius=0.1, predicted=found["selected"], correct=found["selected"] == found["label"]
    )
    assert "radius is 0.1, the votes prove 0.0" in findings(run)


def test_a_radius_of_0_is_no_certificate_where_nothing_is_proven(run: Path) -> None:
    line = next(line for line in range(40) if record(run, line)["abstained"])
    found = record(run, line)
    claimed = {"abstained": False, "reason": None, "radius": 0.0, "predicted": found["selected"]}
    edit(run, line, **claimed, correct=found["selected"] == found["label"])
    assert f"image {line}: abstained is False, p_lower is {found['p_lower']}" in findings(run)


@pytest.mark.parametrize("index", [None, "1", []])
def test_an_index_that_is_no_number_is_a_finding(run: Path, index: object) -> None:
    edit(run, 3, index=index)
    assert "line 4, is not a certificate: Expected `int`" in findings(run)


def test_images_that_are_missing_or_twice_are_found(run: Path) -> None:
    path = run / "certificates.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5] + lines[6:]))
    assert "image 5 has no certificate" in findings(run)
    path.write_text("".join([*lines[:6], lines[3], *lines[6:]]))
    assert "has image 3 twice" in findings(run)
    path.write_text("".join(lines[:-1]))
    assert "image 39 has no certificate" in findings(run)


@pytest.mark.parametrize(
    "changes",
    [{"acr": 9.0}, {"abstained": 0}, {"queries": 1}, {"images": 30}, {"complete": False}, {"noisy_accuracy": 1.0},
     {"certified": None}, {"certificates": 41}, {"confidence": 0.5}, {"labels": "oracle"}, {"seconds": -1.0},
     {"certified_radius": 9.0}],
    ids=str,
)  # fmt: skip
def test_a_summary_that_does_not_follow_is_found(run: Path, changes: Record) -> None:
    change(run / "summary.json", **changes)
    assert re.search(rf"summary.json: ({next(iter(changes))}|Expected .*{next(iter(changes))})", findings(run))


def test_every_number_of_the_curve_counts(run: Path) -> None:
    curve = json.loads((run / "summary.json").read_text())["certified_accuracy"]
    for place, row in enumerate(curve):
        for key in row:
            changed = [dict(each) for each in curve]
            changed[place][key] += 0.01
            change(run / "summary.json", certified_accuracy=changed)
            assert f"certified_accuracy.{place}.{key}" in findings(run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spent_total": 3}, "the purposes add up to 44000"),
        ({"price": 0.5}, "price is 0.5"),
        ({"spent": {"select": 4000, "estimate": 39_999}, "spent_total": 43_999, "price": 87.998}, "rest on 44000"),
        ({"budget": {"queries": 10**6, "money": None, "attempts": None}}, "the manifest says None"),
    ],
)
def test_a_ledger_that_does_not_cover_the_answers_is_found(run: Path, changes: Record, message: str) -> None:
    change(run / "ledger.json", **changes)
    assert message in findings(run)


def test_equal_images_need_to_be_paid_for_once(tmp_path: Path) -> None:
    run = certified(tmp_path)
    path = tmp_path / "images.npz"
    held = dict(np.load(path))
    held["x"][1] = held["x"][0]
    np.savez(path, **held)
    manifest = read_manifest(run)
    change(run / "manifest.json", data=manifest["data"] | {"fingerprint": data.load(f"npz:{path}").fingerprint})
    spent = {"select": 3900, "estimate": 39_000}
    change(run / "ledger.json", spent=spent, spent_total=42_900, price=85.8)
    assert "rest on" not in findings(run)


@pytest.mark.parametrize("setting", ["alpha", "sigma", "num_selection", "num_estimation", "radii", "noise"])
def test_settings_of_which_the_certificates_know_nothing_are_found(run: Path, setting: str) -> None:
    settings = read_manifest(run)["settings"]
    other = {"radii": [0.1], "noise": "uniform"}.get(setting, settings[setting] * 2)
    change(run / "manifest.json", settings=settings | {setting: other})
    assert findings(run)


@pytest.mark.parametrize(
    "changes", [{"heldout_accuracy_best": 0.9}, {"heldout_accuracy_start": 0.1}, {"queries": 1}], ids=str
)
def test_a_tuning_summary_must_follow_from_its_history(tmp_path: Path, changes: Record) -> None:
    run = tuned(tmp_path)
    change(run / "summary.json", **changes)
    assert f"summary.json: {next(iter(changes))}" in findings(run)


def test_a_file_that_is_no_json_is_a_finding(run: Path) -> None:
    (run / "summary.json").write_text("{")
    assert any("cannot read" in line for line in verify(run).findings)


def test_a_run_that_has_not_ended_has_no_hashes(run: Path) -> None:
    change(run / "manifest.json", hashes=None, status="running")
    assert any("holds no hashes" in line for line in verify(run).findings)
