from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.runs.directory import RunDirectory, Status, ended, read_manifest
from bbsmooth.runs.files import explained, in_use, write_bytes, write_json

SETTINGS = {"sigma": 0.5, "batch_size": 4}
CONTEXT = {
    "data": {
        "name": "digits",
        "split": "test",
        "fingerprint": "ab",
        "images": 3,
        "image_shape": [1, 8, 8],
        "classes": None,
    }
}


def begin(path: Path, *, resume: bool = False, **changes: Any) -> RunDirectory:
    given = {"command": "certify", "settings": SETTINGS, "context": CONTEXT} | changes
    return RunDirectory.open(path, resume=resume, changeable=frozenset({"batch_size"}), **given)


def test_a_run_says_how_it_stands_from_its_first_moment(tmp_path: Path) -> None:
    run = begin(tmp_path / "a" / "b")
    manifest = read_manifest(run.path)
    assert (manifest["status"], manifest["ended"], manifest["resumed"]) == ("running", None, [])
    assert manifest["settings"] == SETTINGS
    assert manifest["data"] == CONTEXT["data"]
    assert manifest["versions"].keys() >= {"python", "torch", "bbsmooth"}
    run.mark(Status.DONE)
    run.close()
    assert read_manifest(run.path)["status"] == "done"
    assert read_manifest(run.path)["ended"] is not None


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run = begin(tmp_path)
    assert in_use(tmp_path)
    with pytest.raises(UsageError, match="in use by another process"):
        begin(tmp_path, resume=True)
    run.close()
    assert not in_use(tmp_path)
    begin(tmp_path, resume=True).close()


def test_a_refusal_leaves_the_directory_free_and_as_it_was(tmp_path: Path) -> None:
    begin(tmp_path).close()
    before = (tmp_path / "manifest.json").read_bytes()
    others: list[dict[str, Any]] = [{"settings": {"sigma": 1.0}}, {"context": {"data": {}}}, {"command": "tune"}]
    for changes in others:
        with pytest.raises(UsageError):
            begin(tmp_path, resume=True, **changes)
    with pytest.raises(UsageError, match="holds a run already; go on with it by `resume=True`"):
        begin(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == before
    assert not in_use(tmp_path)


def test_a_resumed_run_keeps_its_beginning(tmp_path: Path) -> None:
    begin(tmp_path).close()
    started = read_manifest(tmp_path)["started"]
    run = begin(tmp_path, resume=True, settings=SETTINGS | {"batch_size": 9})
    run.close()
    assert run.resumed
    manifest = read_manifest(tmp_path)
    assert manifest["started"] == started
    assert len(manifest["resumed"]) == 1
    assert manifest["settings"]["batch_size"] == 9


def test_resuming_what_was_never_begun_begins_it(tmp_path: Path) -> None:
    run = begin(tmp_path, resume=True)
    run.close()
    assert not run.resumed


def test_what_a_crash_left_before_the_first_manifest_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "manifest.json.tmp").write_text("{")
    begin(tmp_path).close()
    assert read_manifest(tmp_path)["status"] == "running"


@pytest.mark.parametrize(
    ("error", "status"), [(None, "done"), (KeyboardInterrupt(), "interrupted"), (ValueError(), "failed")]
)
def test_the_ending_is_written_down(tmp_path: Path, error: BaseException | None, status: str) -> None:
    run = begin(tmp_path)
    try:
        with ended(run, {KeyboardInterrupt: Status.INTERRUPTED}):
            if error is not None:
                raise error
    except (KeyboardInterrupt, ValueError):
        pass
    assert read_manifest(tmp_path)["status"] == status
    assert not in_use(tmp_path)


def test_an_error_is_not_hidden_by_a_manifest_that_cannot_be_written(tmp_path: Path) -> None:
    run = begin(tmp_path)
    (tmp_path / "manifest.json.tmp").mkdir()
    with pytest.raises(ValueError, match="first"), ended(run, {}):
        raise ValueError("first")
    assert not in_use(tmp_path)
    (tmp_path / "manifest.json.tmp").rmdir()
    run = begin(tmp_path, resume=True)
    (tmp_path / "manifest.json.tmp").mkdir()
    with pytest.raises(OSError, match=r"cannot write .*manifest.json: .*; make room"), ended(run, {}):
        pass


def test_writing_keeps_the_old_file_or_the_new(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    write_json(file, {"a": "ä"})
    assert json.loads(file.read_text()) == {"a": "ä"}
    write_bytes(file, b"new")
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_what_the_file_system_says_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(OSError, match=f"cannot write {path}: No space left on device; make room"), explained(path):
        raise OSError(28, "No space left on device")
