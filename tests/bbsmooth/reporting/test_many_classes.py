"""A hundred thousand classes: labels are read, and a page stays of a readable size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bbsmooth import data
from bbsmooth.reporting.page import page
from bbsmooth.reporting.report import report
from bbsmooth.reporting.single import document
from bbsmooth.runs.reading import read_run
from tests.bbsmooth.reporting.worlds import certified

MANY = tuple(f"class number {number}" for number in range(100_000))


def test_labels_of_many_classes_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 4, 4), np.uint8), y=np.array([3, len(MANY) - 1]))
    assert data.load(f"npz:{tmp_path / 'd.npz'}").label(1) == len(MANY) - 1


def test_a_page_holds_the_classes_that_occur(tmp_path: Path) -> None:
    path = certified(tmp_path, images=4, classes=MANY)
    raw = page(document(read_run(path), pictured=2))
    assert len(raw) < 500_000
    assert b"class number 3 (3)" in raw
    assert "4 images" in report(path, format="text", out=None, pictured=0)
