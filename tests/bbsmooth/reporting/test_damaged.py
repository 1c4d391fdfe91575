"""Runs whose files lack an entry, or hold another kind of value: a report, or one line that names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.reporting.compare import compare
from bbsmooth.reporting.report import report
from tests.bbsmooth.golden import test_golden

GOLDEN = Path(test_golden.__file__).parent / "runs-0.1"
FILES = [
    (run, name)
    for run, names in {
        "sequential": ("manifest.json", "summary.json", "ledger.json", "certificates.jsonl"),
        "tune": ("summary.json", "history.jsonl"),
        "train": ("summary.json",),
        "predict": ("predictions.json",),
        "attack": ("summary.json",),
    }.items()
    for name in names
]


def damages(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The record without an entry, and with others in its place."""
    for key in record:
        yield {name: value for name, value in record.items() if name != key}
        others: tuple[Any, ...] = (None, "x", [])
        yield from (record | {key: other} for other in others)


def written(path: Path) -> Iterator[str]:
    """The file with its first record damaged in every way."""
    text = path.read_text()
    if path.suffix == ".jsonl":
        first, _, rest = text.partition("\n")
        yield from (f"{json.dumps(record)}\n{rest}" for record in damages(json.loads(first)))
    elif isinstance(found := json.loads(text), list):
        yield from (json.dumps([record, *found[1:]]) for record in damages(found[0]))
    else:
        yield from map(json.dumps, damages(found))
    yield from ("{", "[]", "null", '"text"', "")


@pytest.mark.parametrize(("run", "name"), FILES, ids="/".join)
def test_whatever_is_damaged_is_shown_or_named_in_one_line(run: str, name: str, tmp_path: Path) -> None:
    path = Path(shutil.copytree(GOLDEN / run, tmp_path / "run"))
    for number, text in enumerate(list(written(path / name))):
        (path / name).write_text(text)
        for form in ("text", "md"):
            try:
                report(path, format=form, out=None, pictured=0)
            except UsageError as error:
                assert name in str(error)  # noqa: PT017  # whether there is one depends on the damage
        if number % 8 == 0:
            try:
                compare([path, GOLDEN / "holm"], format="json", out=None)
            except UsageError as error:
                assert name in str(error)  # noqa: PT017  # likewise
