"""Certified accuracy by group: by class, or by a column of a file beside the images, such as the hospital."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from bbsmooth.certification import certified_accuracy
from bbsmooth.data.columns import column
from bbsmooth.errors import UsageError
from bbsmooth.reporting.model import NOT_ASKED, Cell, Column, Section, Table
from bbsmooth.reporting.numbers import percent
from bbsmooth.reporting.scope import missing, speaks_at
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


def by_group(run: Run, groups: str, radii: Sequence[float] | None = None) -> list[Record]:
    """One record a group and radius: `group`, `images`, `radius`, `value`, and `low` and `high` of its interval.

    The intervals hold for all groups together, at each radius: with probability 95 % none is wrong (Clopper and
    Pearson's, at 1 - 0.05 / G for G groups). They are None where images of the run are missing.

    Args:
        run: see `groups_of`.
        groups: likewise.
        radii: None for those that the run's summary lists.

    Raises:
        UsageError: see `groups_of`; or the run has no summary yet.
        DataError: likewise.
    """
    names = groups_of(run, groups)
    if run.summary is None:
        raise UsageError(f"{run.place} has no summary yet; finish it with `resume`")
    found: dict[str, list[float | None]] = defaultdict(list)
    for name, record in zip(names, run.certificates or [], strict=True):
        found[name].append(record["radius"] if record["correct"] else None)
    asked = [row["radius"] for row in run.summary["certified_accuracy"] or []] if radii is None else radii
    return list(_rows(found, asked, whole=not missing(run)))


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
    columns = (Column("group", _word(groups), numeric=False), Column("images", "images"), *_columns(radii))
    cells = ((*_named(found[name, radii[0]]), *(_cell(found[name, radius]) for radius in radii)) for name in names)
    words = (
        f"At each radius the {100 * CONFIDENCE:g} % intervals hold for all {len(names)} groups together, over images "
        "drawn like these."
        if rows and rows[0]["low"] is not None
        else "Images are missing, so that there are no intervals.",
    )
    table = Table("groups", f"Certified accuracy by {_word(groups)}", columns, tuple(cells), sortable=True)
    return Section("groups", table.title, words, tables=(table,))


def compared_groups(runs: Sequence[Run], names: Sequence[str], radii: Sequence[float], groups: str) -> Section:
    """The section of a comparison: a row for each group and run that has labelled certificates.

    Args:
        runs: of which at least one has them.
        names: of the runs.
        radii: at which certified accuracy is shown; a dash stands where a run was not asked about one.
        groups: see `groups_of`.

    Raises:
        UsageError: no run has labelled certificates; see `by_group`.
        DataError: see `groups_of`.
    """
    labelled = [
        (name, run, {(row["group"], row["radius"]): row for row in by_group(run, groups, radii)})
        for name, run in zip(names, runs, strict=True)
        if run.certificates and all(record["label"] is not None for record in run.certificates)
    ]
    if not labelled:
        raise UsageError("none of these runs has certificates of labelled images, so that no group has an accuracy")
    known = sorted({group for _, _, found in labelled for group, _ in found}, key=_place)
    cells = [
        (
            *_named(found[group, radii[0]]),
            Cell(name, name),
            *(
                _cell(found[group, radius]) if speaks_at(run.certificates or [], radius) else NOT_ASKED
                for radius in radii
            ),
        )
        for group in known
        for name, run, found in labelled
        if (group, radii[0]) in found
    ]
    columns = (
        Column("group", _word(groups), numeric=False),
        Column("images", "images"),
        Column("run", "run", numeric=False),
        *_columns(radii),
    )
    words = (
        f"At each radius the {100 * CONFIDENCE:g} % intervals of a run hold for all of its groups together, over "
        "images drawn like these; not for all runs together. A run with missing images has none.",
    )
    table = Table("groups", f"Certified accuracy by {_word(groups)}", columns, tuple(cells), sortable=True, heading=2)
    return Section("groups", table.title, words, tables=(table,))


def _word(groups: str) -> str:
    return "class" if groups == BY_CLASS else groups.rpartition(":")[2]


def _columns(radii: Sequence[float]) -> Iterator[Column]:
    for radius in radii:
        yield Column(f"r={radius:g}", f"r = {radius:g}", interval=True)


def _named(row: Record) -> tuple[Cell, Cell]:
    return Cell(row["group"], row["group"]), Cell(f"{row['images']:,}", row["images"])


def _cell(row: Record) -> Cell:
    if row["low"] is None:
        return Cell(percent(row["value"]), row["value"])
    text = f"{percent(row['value'])} ({percent(row['low'])} to {percent(row['high'])})"
    return Cell(text, row["value"], row["low"], row["high"])
