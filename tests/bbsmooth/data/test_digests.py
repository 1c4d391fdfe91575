import os
from pathlib import Path

import numpy as np
import pytest

from bbsmooth.data import DataError, digests
from bbsmooth.data.digests import digest_arrays, digest_files

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([0, 1])


def write(folder: Path, **contents: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_text(content)
    return [folder / name for name in contents]


def test_arrays_differ_by_pixels_labels_classes_order_and_shape() -> None:
    fingerprints = {
        digest_arrays(("a", "b"), PIXELS, LABELS),
        digest_arrays(("a", "c"), PIXELS, LABELS),
        digest_arrays(("a", "b"), PIXELS + 1, LABELS),
        digest_arrays(("a", "b"), PIXELS[::-1], LABELS),
        digest_arrays(("a", "b"), PIXELS, LABELS[::-1]),
        digest_arrays(("a", "b"), PIXELS.reshape(2, 4, 3), LABELS),
        digest_arrays(None, PIXELS, None),
    }
    assert len(fingerprints) == 7


def test_arrays_do_not_differ_by_memory_layout() -> None:
    turned = np.ascontiguousarray(PIXELS.transpose(2, 1, 0)).transpose(2, 1, 0)
    assert digest_arrays(None, turned, LABELS) == digest_arrays(None, PIXELS, LABELS)


def test_a_copy_of_files_has_the_same_fingerprint(tmp_path: Path) -> None:
    here = write(tmp_path / "here", x="1", y="2")
    there = write(tmp_path / "there", y="2", x="1")
    assert digest_files(None, here, tmp_path / "here") == digest_files(None, there, tmp_path / "there")


@pytest.mark.parametrize("contents", [{"x": "1", "y": "3"}, {"x": "1", "z": "2"}, {"x": "1"}, {"x": "1", "y": "22"}])
def test_other_files_have_another_fingerprint(tmp_path: Path, contents: dict[str, str]) -> None:
    before = digest_files(None, write(tmp_path / "here", x="1", y="2"), tmp_path / "here")
    assert digest_files(None, write(tmp_path / "there", **contents), tmp_path / "there") != before


def test_of_large_sets_the_times_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MOST_BYTES", 2)
    files = write(tmp_path, x="1", y="2")
    for file in files:
        os.utime(file, ns=(0, 10**9))
    before = digest_files(None, files, tmp_path)
    os.utime(files[0], ns=(0, 10**9 + 1))
    assert digest_files(None, files, tmp_path) == before
    os.utime(files[0], ns=(0, 2 * 10**9))
    assert digest_files(None, files, tmp_path) != before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone cannot be read .*repair or remove it"):
        digest_files(None, [tmp_path / "gone"], tmp_path)
