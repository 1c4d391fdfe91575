"""Certified accuracy by group: by class, or by a column of a file beside the images, such as the hospital."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from bbsmooth.certification import certified_accuracy
from bbsmooth.data.columns import column
from bbsmooth.errors import UsageError
from bbsmooth.reporting.model import Cell, Column, Section, Table
from bbsmooth.reporting.numbers import percent
from bbsmooth.reporting.scope import missing
from bbsmooth.runs.certificates import CONFIDENCE, Record
from bbsmooth.runs.reading import Run
from bbsmooth.settings.accept import BY_CLASS


def groups_of(run: Run, groups: str) -> list[str]:
    """The group of each certificate of a run, in their order.

    Args:
        run: of `bbsmooth certify`, whose images have labels.
        groups: "class", or `FILE.csv:COLUMN` with a row for each image of the data set, in its order.

    Raises:
        UsageError: the run has no labelled certificates, or the file too few rows.
        DataError: there is no such file or column, or a row has no value there.
    """
    records = run.certificates
    if not records or any(record["label"] is None for record in records):
        raise UsageError(f"{run.place} has no certificates of labelled images, so that no group has an accuracy")
    if groups == BY_CLASS:
        return [str(record["label"]) for record in records]
    values = column(groups)
    if (last := max(record["index"] for record in records)) >= len(values):
        raise UsageError(f"{groups} has {len(values)} rows, and image {last} of {run.place} needs one; give it a group")
    return [values[record["index"]] for record in records]


def by_group(run: Run, groups: str) -> list[Record]:
    """One record a group and radius: `group`, `images`, `radius`, `value`, and `low` and `high` of its interval.

    The intervals hold for all groups together, at each radius: with probability 95 % none is wrong (Clopper and
    Pearson's, at 1 - 0.05 / G for G groups). They are None where images of the run are missing.

    Raises:
        UsageError: see `groups_of`; or the run has no summary yet.
        DataError: likewise.
    """
    names = groups_of(run, groups)
    if run.summary is None:
        raise UsageError(f"{run.place} has no summary yet; finish it with `resume`")
    radii: dict[str, list[float | None]] = defaultdict(list)
    for name, record in zip(names, run.certificates or [], strict=True):
        radii[name].append(record["radius"] if record["correct"] else None)
    asked = [row["radius"] for row in run.summary["certified_accuracy"] or []]
    return list(_rows(radii, asked, whole=not missing(run)))


def _rows(radii: dict[str, list[float | None]], asked: Sequence[float], *, whole: bool) -> Iterator[Record]:
    confidence = 1 - (1 - CONFIDENCE) / len(radii)
    for name in sorted(radii, key=_place):
        for radius in asked:
            found = certified_accuracy(radii[name], radius, confidence=confidence)
            low, high = (found.low, found.high) if whole else (None, None)
            yield {
                "group": name,
                "images": len(radii[name]),
                "radius": radius,
                "value": found.value,
                "low": low,
                "high": high,
            }


def _place(name: str) -> tuple[bool, int, str]:
    """Numbers by value, then words."""
    number = name.isascii() and name.isdecimal()
    return not number, int(name) if number else 0, name


def groups_section(run: Run, groups: str) -> Section:
    """The section of a report, see `by_group`."""
    rows = by_group(run, groups)
    names = list(dict.fromkeys(row["group"] for row in rows))
    radii = list(dict.fromkeys(row["radius"] for row in rows))
    found = {(row["group"], row["radius"]): row for row in rows}
    of = "class" if groups == BY_CLASS else groups.rpartition(":")[2]
    columns = (
        Column("group", of, numeric=False),
        Column("images", "images"),
        *(Column(f"r={radius:g}", f"r = {radius:g}", interval=True) for radius in radii),
    )
    cells = (
        (
            Cell(name, name),
            Cell(f"{found[name, radii[0]]['images']:,}", found[name, radii[0]]["images"]),
            *(_cell(found[name, radius]) for radius in radii),
        )
        for name in names
    )
    words = (
        f"At each radius the {100 * CONFIDENCE:g} % intervals hold for all {len(names)} groups together, over images "
        "drawn like these."
        if rows and rows[0]["low"] is not None
        else "Images are missing, so that there are no intervals.",
    )
    table = Table("groups", f"Certified accuracy by {of}", columns, tuple(cells), sortable=True)
    return Section("groups", table.title, words, tables=(table,))


def _cell(row: Record) -> Cell:
    if row["low"] is None:
        return Cell(percent(row["value"]), row["value"])
    text = f"{percent(row['value'])} ({percent(row['low'])} to {percent(row['high'])})"
    return Cell(text, row["value"], row["low"], row["high"])
