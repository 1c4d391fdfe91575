"""Folders behind URLs, on file systems of several kinds."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import fsspec
import pytest

from bbsmooth.errors import UsageError
from bbsmooth.runs.remote.place import Place, is_url


@pytest.fixture(params=["memory", "file", "dir"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    urls = {
        "memory": "memory://bucket/deep/run",
        "file": f"file://{tmp_path}/deep/run",
        "dir": f"dir::file://{tmp_path}/deep/run",
    }
    yield Place.at(urls[request.param])
    fsspec.filesystem("memory").store.clear()


def test_files_come_back_as_they_were_written(place: Place, tmp_path: Path) -> None:
    assert place.names() == set()
    assert place.read("a.json") is None
    place.write("a.json", b"old")
    place.write("a.json", b"new")
    (tmp_path / "local").write_bytes(b"content")
    place.put("below/b", tmp_path / "local")
    assert place.names() == {"a.json", "below/b"}
    assert (place.read("a.json"), place.read("below/b")) == (b"new", b"content")
    place.fetch("below/b", tmp_path / "x" / "y")
    assert (tmp_path / "x" / "y").read_bytes() == b"content"
    place.remove("a.json")
    place.remove("a.json")
    assert place.names() == {"below/b"}
    assert place.name == "run"


def test_a_file_is_replaced_at_once_where_a_store_writes_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place.at(f"file://{tmp_path}/run")
    place.write("ledger.json", b"whole")

    def torn(path: str, raw: bytes, **options: object) -> None:
        Path(path).write_bytes(raw[:2])
        raise OSError("no space left")

    monkeypatch.setattr(place._files, "pipe_file", torn)
    with pytest.raises(OSError, match=r"cannot write file://.*/run/ledger.json: OSError: no space left"):
        place.write("ledger.json", b"newer")
    assert place.read("ledger.json") == b"whole"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nowhere://bucket/run", "nowhere://bucket/run cannot be opened: ValueError: Protocol not known: nowhere"),
        ("sftp://me:secret@host/run", "a password in the URL of a run would end up in its manifest"),
        ("simplecache::memory://bucket/run", "keeps local copies that grow old"),
    ],
)
def test_urls_that_cannot_be_used(url: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected) as caught:
        Place.at(url)
    assert "secret" not in str(caught.value)


def test_a_file_system_that_is_not_installed_is_named() -> None:
    if find_spec("s3fs") is not None:
        pytest.skip("s3fs is installed")
    with pytest.raises(UsageError, match="needs a package that is not installed: Install s3fs"):
        Place.at("s3://bucket/run")


def test_paths_are_no_urls() -> None:
    assert [is_url(out) for out in ("runs/a", "/runs/a", "s3://b/a", "dir::file:///a")] == [False, False, True, True]
