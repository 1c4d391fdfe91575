"""Response caches in parts: applied in order, they are the cache."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bbsmooth.runs.remote.rows import ChangedRows, apply, in_order, snapshot
from oracles import ResponseStore


def content(store: ResponseStore, keys: list[bytes]) -> dict[bytes, bytes]:
    return {key: value for key, value in zip(keys, store.read(keys), strict=True) if value is not None}


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    return folder


def upload(rows: ChangedRows, folder: Path) -> str | None:
    found = rows.collect(folder)
    if found is None:
        return None
    name, file, times = found
    rows.keep(name, times)
    assert file.name == name.rpartition("/")[2]
    return name


@pytest.mark.parametrize("parts", [3, 200])
def test_a_cache_comes_back_after_any_writes_and_removals(
    parts: int, tmp_path: Path, uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bbsmooth.runs.remote.rows._PARTS", parts)
    store, chance = ResponseStore(tmp_path / "responses"), random.Random(0)
    keys = [bytes([number]) * 4 for number in range(40)]
    rows = ChangedRows.of(tmp_path / "responses", 1, mirrored=False)
    names: set[str] = set()
    for turn in range(12):
        store.write({key: chance.randbytes(20) for key in chance.sample(keys, 6)})
        store.remove(chance.sample(keys, 3))
        name = upload(rows, uploads)
        assert name is not None
        names.add(name)
        copy = tmp_path / f"copy{turn}"
        files = [uploads / name.rpartition("/")[2] for name in in_order(names, "responses")]
        apply(files, copy)
        again = ResponseStore(copy)
        assert content(again, keys) == content(store, keys) != {}
        again.close()
    store.close()
    assert (len(in_order(names, "responses")) < 12) is (parts == 3)


def test_only_what_changed_is_written(tmp_path: Path, uploads: Path) -> None:
    store = ResponseStore(tmp_path / "responses")
    rows = ChangedRows.of(tmp_path / "responses", 1, mirrored=False)
    store.write({b"large": bytes(1_000_000)})
    first = upload(rows, uploads)
    assert upload(rows, uploads) is None
    store.write({b"small": b"row"})
    second = upload(rows, uploads)
    assert first is not None
    assert second is not None
    sizes = [(uploads / name.rpartition("/")[2]).stat().st_size for name in (first, second)]
    assert sizes[0] > 1_000_000 > 50_000 > sizes[1]
    store.close()


def test_a_cache_that_was_fetched_goes_on_in_parts(tmp_path: Path, uploads: Path) -> None:
    store = ResponseStore(tmp_path / "responses")
    store.write({b"old": b"1", b"gone": b"2"})
    rows = ChangedRows.of(tmp_path / "responses", 8, mirrored=True)
    assert rows.collect(uploads) is None
    store.write({b"new": b"3"})
    store.remove([b"gone"])
    name = upload(rows, uploads)
    assert name == "responses/rows-00000008-00000001.part"
    base = ResponseStore(tmp_path / "base")
    base.write({b"old": b"1", b"gone": b"2"})
    base.close()
    apply([uploads / "rows-00000008-00000001.part"], tmp_path / "base")
    base = ResponseStore(tmp_path / "base")
    assert content(base, [b"old", b"gone", b"new"]) == {b"old": b"1", b"new": b"3"}
    base.close()
    store.close()


def test_a_snapshot_is_whole_also_while_and_after_somebody_writes(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path / "responses")
    store.write({b"key": b"value"})
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        snapshot(tmp_path / "responses", tmp_path / name / "cache.db")
        copy = ResponseStore(tmp_path / name)
        assert copy.read([b"key"]) == [b"value"]
        copy.close()
        store.close()


def test_a_run_without_answers_has_no_rows(tmp_path: Path, uploads: Path) -> None:
    rows = ChangedRows.of(tmp_path / "responses", 1, mirrored=False)
    assert rows.collect(uploads) is None
