from __future__ import annotations

import hashlib
import json
from pathlib import Path

from bbsmooth.runs.directory import RunDirectory, Status, ended
from bbsmooth.runs.hashes import manifest_hash, run_hashes


def test_files_with_results_are_hashed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a.json", "b.jsonl", "adapter/c.safetensors", "responses/cache.json", "report.html", "a.json.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    found = run_hashes(tmp_path, {"x": 1})
    assert set(found) == {"manifest.json", "a.json", "b.jsonl", "adapter/c.safetensors"}
    assert found["b.jsonl"] == hashlib.sha256(b"b.jsonl").hexdigest()


def test_a_manifest_does_not_hash_its_hashes() -> None:
    assert manifest_hash({"a": 1, "hashes": {"x": "y"}}) == manifest_hash({"hashes": None, "a": 1})
    assert manifest_hash({"a": 1}) != manifest_hash({"a": 2})


def test_a_run_is_hashed_when_it_ends_and_not_before(tmp_path: Path) -> None:
    run = RunDirectory.open(tmp_path, command="certify", settings={"shape": (1, 2)}, context={}, resume=False)
    assert json.loads((tmp_path / "manifest.json").read_text())["hashes"] is None
    with ended(run, {}):
        (tmp_path / "summary.json").write_text("{}")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["status"] == Status.DONE
    assert manifest["hashes"] == run_hashes(tmp_path, manifest)
    again = RunDirectory.open(tmp_path, command="certify", settings={"shape": (1, 2)}, context={}, resume=True)
    assert json.loads((tmp_path / "manifest.json").read_text())["hashes"] is None
    again.close()
