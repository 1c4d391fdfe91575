"""Certificates as the rows that a page shows, sorts and filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bbsmooth.reporting.numbers import rounded_down, shortened
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.reading import Run
from bbsmooth.runs.records.values import Label

if TYPE_CHECKING:
    from bbsmooth.reporting.views import Views

MOST_ROWS = 15_000
"""Rows of one page; a page with more would not stay below 3 MB."""

_BARS = 4
"""Classes of a vote bar that are told apart."""

_DIGITS = 4
_LONGEST = 80


def gallery(run: Run, views: Views) -> dict[str, Any] | None:
    """Data for the page's script: names of classes, rows, pictures; None where the run has no certificates.

    A row is [index, label, predicted, outcome, radius, p_lower, queries, votes], classes by their place in `classes`
    (None: unknown, or an abstention), radius rounded down, votes as [class, count] pairs, the rest under class -1.
    """
    records = run.certificates
    if not records:
        return None
    classes = _classes(run, records)
    places = {name: place for place, (name, _) in enumerate(classes)}
    rows = [_row(record, places) for record in records[:MOST_ROWS]]
    pictured = {row[0] for row in rows} & views.pictures.keys()
    return {
        "classes": [shown for _, shown in classes],
        "rows": rows,
        "names": views.names,
        "pictures": {str(index): views.pictures[index] for index in sorted(pictured)},
    }


def left_out(run: Run) -> int:
    """Certificates of a run that its page has no row for."""
    return max(0, len(run.certificates or []) - MOST_ROWS)


def _classes(run: Run, records: Sequence[Record]) -> list[tuple[str, str]]:
    """Each class that occurs: what records call it, and what people do."""
    found: set[Label] = {record[key] for record in records for key in ("label", "predicted")} - {None}
    counted = {name for record in records for name in record["counts"] or {}}
    names = sorted({str(label) for label in found} | counted, key=lambda name: (not name.isdecimal(), name.zfill(9)))
    known = run.oracle and run.oracle["classes"]
    return [(name, _shown(name, known)) for name in names]


def _shown(name: str, known: Any) -> str:
    if isinstance(known, list) and name.isdecimal() and int(name) < len(known) and known[int(name)] != name:
        return f"{shortened(known[int(name)], _LONGEST)} ({name})"
    return shortened(name, _LONGEST)


def _row(record: Record, places: dict[str, int]) -> list[Any]:
    label, predicted = record["label"], record["predicted"]
    votes = sorted((record["counts"] or {}).items(), key=lambda entry: -entry[1])
    rest = sum(count for _, count in votes[_BARS:])
    return [
        record["index"],
        None if label is None else places[str(label)],
        None if predicted is None else places[str(predicted)],
        outcome(record),
        None if record["radius"] is None else rounded_down(record["radius"], _DIGITS),
        None if record["p_lower"] is None else rounded_down(record["p_lower"], _DIGITS),
        record["queries"],
        [[places[name], count] for name, count in votes[:_BARS]] + ([[-1, rest]] if rest else []),
    ]


def outcome(record: Record) -> str:
    """In one word what came of an image."""
    if record["abstained"]:
        return "abstained"
    return {True: "right", False: "wrong", None: "certified"}[record["correct"]]
