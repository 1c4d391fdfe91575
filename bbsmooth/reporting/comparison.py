"""Several runs side by side: one table, one figure, and paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from bbsmooth.errors import UsageError
from bbsmooth.reporting import charts
from bbsmooth.reporting.columns import own_labels, runs_table
from bbsmooth.reporting.model import Cell, Column, Document, Line, LineChart, Section, Table
from bbsmooth.reporting.numbers import count, points, probability
from bbsmooth.reporting.paired import Paired, compare
from bbsmooth.reporting.words import norm_word
from bbsmooth.runs.certificates import CONFIDENCE, Record
from bbsmooth.runs.reading import Run


def document(runs: Sequence[Run]) -> Document:
    """Everything about several runs.

    Raises:
        UsageError: fewer than two, or the same twice.
    """
    refuse(runs)
    names = unique_names(runs)
    radii = told_radii(runs)
    return Document(
        title=f"Comparison of {count(len(runs), 'run')}",
        lead=_lead(runs, names),
        facts=(),
        sections=tuple(_sections(runs, names, radii)),
    )


def figures(runs: Sequence[Run], names: Sequence[str], radii: Sequence[float]) -> tuple[LineChart, ...]:
    """Certified accuracy of all runs that have labels, one chart for each norm, and how tuning and training went."""
    labelled = [(name, run) for name, run in zip(names, runs, strict=True) if is_labelled(run)]
    norms = sorted({norm_word(run.certificates) for _, run in labelled})
    found = [
        charts.accuracy_chart(
            [
                _line(f"{name} (agreement)" if own_labels(run) else name, run.certificates or [], radii)
                for name, run in labelled
                if norm_word(run.certificates) == norm
            ],
            norm,
            "certified accuracy",
        )
        for norm in norms
    ]
    histories = [(name, run.history) for name, run in zip(names, runs, strict=True) if run.history]
    return (*found, *charts.history_charts(histories))


def refuse(runs: Sequence[Run]) -> None:
    """Refuse what cannot be compared.

    Raises:
        UsageError: fewer than two runs, or the same twice.
    """
    places = [run.path.resolve() for run in runs]
    if len(set(places)) < 2 or len(set(places)) < len(places):
        raise UsageError(f"a comparison needs two or more different runs, got {', '.join(run.place for run in runs)}")


def unique_names(runs: Sequence[Run]) -> list[str]:
    """A short name for each run: its directory's, or its path where two directories have the same name."""
    short = [run.name for run in runs]
    return [name if short.count(name) == 1 else run.place for name, run in zip(short, runs, strict=True)]


def told_radii(runs: Sequence[Run]) -> tuple[float, ...]:
    """The radii that any of the summaries lists."""
    summaries = [run.summary for run in runs if run.summary is not None]
    return tuple(sorted({row["radius"] for summary in summaries for row in summary.get("certified_accuracy") or []}))


def is_labelled(run: Run) -> bool:
    """Whether certified accuracy can be counted."""
    return bool(run.certificates) and all(record["label"] is not None for record in run.certificates or [])


def pairs_table(runs: Sequence[Run], names: Sequence[str], radii: Sequence[float]) -> Table | None:
    """For each two runs on the same images and each radius: the paired difference of certified accuracy."""
    rows = []
    for (first, one), (second, other) in combinations(zip(names, runs, strict=True), 2):
        for radius, found in differences(one, other, radii):
            rows.append(_pair_row(first, second, radius, found))
    if not rows:
        return None
    columns = (
        Column("first", "first run", numeric=False),
        Column("second", "second run", numeric=False),
        Column("radius", "radius"),
        Column("images", "images"),
        Column("only_first", "only first"),
        Column("only_second", "only second"),
        Column("difference", f"difference in points ({100 * CONFIDENCE:g} % interval)", interval=True),
        Column("p_value", "p-value"),
    )
    return Table("differences", "Paired differences", columns, tuple(rows), sortable=True)


def differences(one: Run, other: Run, radii: Sequence[float]) -> Iterator[tuple[float, Paired]]:
    """At each radius how two runs differ on the images that both have certified; none where they are not paired."""
    pairs = _common(one, other)
    if not pairs:
        return
    for radius in radii:
        first, second = ([_counts(pair[side], radius) for pair in pairs] for side in (0, 1))
        yield radius, compare(first, second, confidence=CONFIDENCE)


def _common(one: Run, other: Run) -> list[tuple[Record, Record]]:
    """The certificates of the same images with the same labels. Data that nobody names are taken to be the same."""
    if not (is_labelled(one) and is_labelled(other)) or norm_word(one.certificates) != norm_word(other.certificates):
        return []
    theirs = {record["index"]: record for record in other.certificates or []}
    pairs = [(record, theirs[record["index"]]) for record in one.certificates or [] if record["index"] in theirs]
    prints = [(run.manifest.get("data") or {}).get("fingerprint") for run in (one, other)]
    same = None in prints or prints[0] == prints[1]
    return pairs if same and all(mine["label"] == its["label"] for mine, its in pairs) else []


def _counts(record: Record, radius: float) -> bool:
    return bool(record["correct"]) and record["radius"] is not None and record["radius"] >= radius


def _pair_row(first: str, second: str, radius: float, found: Paired) -> tuple[Cell, ...]:
    around = f"{points(found.difference)} ({points(found.low)} to {points(found.high)})"
    return (
        Cell(first, first),
        Cell(second, second),
        Cell(f"{radius:g}", radius),
        *(Cell(f"{number:,}", number) for number in (found.images, found.only_first, found.only_second)),
        Cell(around, found.difference, found.low, found.high),
        Cell(probability(found.p_value), found.p_value),
    )


def _line(name: str, records: Sequence[Record], radii: Sequence[float]) -> Line:
    found = charts.correct_radii(records)
    return charts.certified_line(name, found, [charts.certified_point(found, radius) for radius in radii])


def _lead(runs: Sequence[Run], names: Sequence[str]) -> str:
    unfinished = [f"{name} ({run.status})" for name, run in zip(names, runs, strict=True) if run.status != "done"]
    said = [
        f"{count(len(runs), 'run')} side by side: {', '.join(names)}.",
        "Certified accuracy at a radius is the share of all images whose class is right and proven to hold within it.",
    ]
    if unfinished:
        said.append(f"Not at their end: {', '.join(unfinished)}.")
    return " ".join(said)


def _sections(runs: Sequence[Run], names: Sequence[str], radii: Sequence[float]) -> Iterator[Section]:
    table = runs_table(runs, names, radii)
    yield Section("runs", "Runs", charts=figures(runs, names, radii), tables=(table,))
    if pairs := pairs_table(runs, names, radii):
        words = (
            "Both runs of a row are counted on the same images: an image counts where its class is right and proven "
            "to hold within the radius. The p-value is of McNemar's exact test that both certify as many, the interval "
            "for the difference Tango's score interval; neither is corrected for the number of rows. Where a run does "
            "not name its data, images are matched by number, and only if all labels agree.",
        )
        yield Section("differences", "Paired differences", words, tables=(pairs,))
