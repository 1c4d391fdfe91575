"""Several runs side by side: one table, one figure, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from bbsmooth.errors import UsageError
from bbsmooth.reporting import charts
from bbsmooth.reporting.columns import chosen_columns, own_labels, runs_table
from bbsmooth.reporting.groups import compared_groups
from bbsmooth.reporting.model import NOT_ASKED, Cell, Column, Document, Line, LineChart, Section, Table
from bbsmooth.reporting.numbers import count, points, probability
from bbsmooth.reporting.paired import METHOD, Paired, compare
from bbsmooth.reporting.scope import decided_radii, missing, progress, speaks_at
from bbsmooth.reporting.words import norm_word
from bbsmooth.runs.certificates import CONFIDENCE, Record
from bbsmooth.runs.reading import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """Names, radii, columns and pairs of a comparison that are shown.

    Args:
        names: what runs are called, one for each in their order; none for the names of their directories.
        shown_radii: at which certified accuracy is shown; none for all that a run's summary lists.
        columns: names of the columns of the table of runs, in their order, where `accuracy` stands for all radii; none
            for all that have something to say.
        baseline: the run that all others are paired with; None for all pairs.
        groups: by which certified accuracy is split, see `bbsmooth.reporting.groups`; None for not at all.

    Raises:
        UsageError: a radius that cannot be.
    """

    names: tuple[str, ...] = ()
    shown_radii: tuple[float, ...] = ()
    columns: tuple[str, ...] = ()
    baseline: Path | None = None
    groups: str | None = None

    def __post_init__(self) -> None:
        """Refuse radii that cannot be."""
        if wrong := [radius for radius in self.shown_radii if not 0 <= radius < math.inf]:
            raise UsageError(f"`shown_radii` must be finite and not negative, got {wrong[0]}")


ALL = ComparisonView()


def document(runs: Sequence[Run], choice: ComparisonView = ALL) -> Document:
    """Everything about several runs.

    Raises:
        UsageError: fewer than two, or the same twice; or a choice that does not go with them.
    """
    refuse(runs)
    names = _chosen_names(runs, choice)
    radii = tuple(sorted(set(choice.shown_radii))) or told_radii(runs)
    return Document(
        title=f"Comparison of {count(len(runs), 'run')}",
        lead=_lead(runs, names),
        facts=(),
        sections=tuple(_sections(runs, names, radii, choice)),
    )


def figures(runs: Sequence[Run], names: Sequence[str], radii: Sequence[float]) -> tuple[LineChart, ...]:
    """Certified accuracy of all runs that have labels, one chart for each norm, and how tuning and training went."""
    labelled = [(name, run) for name, run in zip(names, runs, strict=True) if is_labelled(run)]
    norms = sorted({norm_word(run.certificates) for _, run in labelled})
    found = [
        charts.accuracy_chart(
            [_line(name, run, radii) for name, run in labelled if norm_word(run.certificates) == norm],
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


def _chosen_names(runs: Sequence[Run], choice: ComparisonView) -> list[str]:
    if not choice.names:
        return unique_names(runs)
    if len(choice.names) != len(runs) or len(set(choice.names)) < len(runs):
        raise UsageError(
            f"`names` must give each of the {len(runs)} runs a name of its own, in their order, got "
            f"{', '.join(choice.names)}"
        )
    return list(choice.names)


def told_radii(runs: Sequence[Run]) -> tuple[float, ...]:
    """The radii that any of the summaries lists."""
    summaries = [run.summary for run in runs if run.summary is not None]
    return tuple(sorted({row["radius"] for summary in summaries for row in summary.get("certified_accuracy") or []}))


def is_labelled(run: Run) -> bool:
    """True where certified accuracy can be counted: every image has a label."""
    return bool(run.certificates) and all(record["label"] is not None for record in run.certificates or [])


def pairs_table(
    runs: Sequence[Run], names: Sequence[str], radii: Sequence[float], baseline: Path | None = None
) -> Table | None:
    """For each two runs on the same images and each radius: the paired difference of certified accuracy.

    Args:
        runs: to be paired.
        names: of them.
        radii: at which they are.
        baseline: the directory of the run that each other one is paired with; None for all pairs.

    Raises:
        UsageError: the baseline is none of the runs.
    """
    rows = []
    for (first, one), (second, other) in _pairs(runs, names, baseline):
        partial = bool(missing(one) or missing(other))
        for radius, found in differences(one, other, radii):
            rows.append(_pair_row(first, second, radius, found, partial=partial))
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
    return Table("differences", "Paired differences", columns, tuple(rows), sortable=True, heading=2)


def _pairs(
    runs: Sequence[Run], names: Sequence[str], baseline: Path | None
) -> Iterator[tuple[tuple[str, Run], tuple[str, Run]]]:
    named = list(zip(names, runs, strict=True))
    if baseline is None:
        yield from combinations(named, 2)
        return
    place = baseline.resolve()
    against = next((each for each in named if each[1].path.resolve() == place), None)
    if against is None:
        raise UsageError(f"`baseline` must be one of the runs that are compared, got {baseline}")
    yield from ((each, against) for each in named if each is not against)


def differences(one: Run, other: Run, radii: Sequence[float]) -> Iterator[tuple[float, Paired]]:
    """At each radius how two runs differ on the images that both have certified; none where they are not paired."""
    pairs = _common(one, other)
    if not pairs:
        return
    for radius in radii:
        if not all(speaks_at(run.certificates or [], radius) for run in (one, other)):
            continue
        first, second = ([_counts(pair[side], radius) for pair in pairs] for side in (0, 1))
        yield radius, compare(first, second, confidence=CONFIDENCE)


def _common(one: Run, other: Run) -> list[tuple[Record, Record]]:
    """The certificates of the same images with the same labels. Data that nobody names are taken to be the same."""
    if not (is_labelled(one) and is_labelled(other)) or norm_word(one.certificates) != norm_word(other.certificates):
        return []
    theirs = {record["index"]: record for record in other.certificates or []}
    pairs = [(record, theirs[record["index"]]) for record in one.certificates or [] if record["index"] in theirs]
    prints = [run.data and run.data["fingerprint"] for run in (one, other)]
    same = None in prints or prints[0] == prints[1]
    return pairs if same and all(mine["label"] == its["label"] for mine, its in pairs) else []


def _counts(record: Record, radius: float) -> bool:
    return bool(record["correct"]) and record["radius"] is not None and record["radius"] >= radius


def _pair_row(first: str, second: str, radius: float, found: Paired, *, partial: bool) -> tuple[Cell, ...]:
    around = f"{points(found.difference)} ({points(found.low)} to {points(found.high)})"
    tested = (Cell(around, found.difference, found.low, found.high), Cell(probability(found.p_value), found.p_value))
    if partial:  # the images that are there may be the clear ones
        tested = (Cell(points(found.difference), found.difference), NOT_ASKED)
    return (
        Cell(first, first),
        Cell(second, second),
        Cell(f"{radius:g}", radius),
        *(Cell(f"{number:,}", number) for number in (found.images, found.only_first, found.only_second)),
        *tested,
    )


def _line(name: str, run: Run, radii: Sequence[float]) -> Line:
    records, whole, remarks = run.certificates or [], not missing(run), []
    if own_labels(run):
        remarks.append("agreement")
    if not whole:
        remarks.append(f"{progress(run)} images")
    found = charts.correct_radii(records)
    marks = [charts.certified_point(found, radius, whole=whole) for radius in radii if speaks_at(records, radius)]
    name = f"{name} ({', '.join(remarks)})" if remarks else name
    return charts.certified_line(name, records, marks, whole=whole)


def _lead(runs: Sequence[Run], names: Sequence[str]) -> str:
    said = [
        f"{count(len(runs), 'run')} side by side: {', '.join(names)}.",
        "Certified accuracy at a radius is the share of all images whose class is right and proven to hold within it.",
        *_reservations(runs, names),
    ]
    return " ".join(said)


def _reservations(runs: Sequence[Run], names: Sequence[str]) -> Iterator[str]:
    named = list(zip(names, runs, strict=True))
    if unfinished := [f"{name} ({run.status})" for name, run in named if run.status != "done"]:
        yield f"Not at their end: {', '.join(unfinished)}."
    if partial := [f"{name} ({progress(run)} images)" for name, run in named if missing(run)]:
        yield (
            f"Images are missing: {', '.join(partial)}. Their shares are of the images that were answered, which may "
            "be the clearer ones, so they have no interval and no test."
        )
    if any(decided_radii(run.certificates or []) is not None for run in runs):
        yield "A dash stands where a sequential run was not asked about a radius."


def _sections(
    runs: Sequence[Run], names: Sequence[str], radii: Sequence[float], choice: ComparisonView
) -> Iterator[Section]:
    table = chosen_columns(runs_table(runs, names, radii), choice.columns)
    yield Section("runs", "Runs", charts=figures(runs, names, radii), tables=(table,))
    if pairs := pairs_table(runs, names, radii, choice.baseline):
        words = (
            "Both runs of a row are counted on the same images: an image counts where its class is right and proven "
            f"to hold within the radius. Test of equality and interval for the difference are one: {METHOD}; they are "
            "not corrected for the number of rows. Where a run does not name its data, images are matched by number, "
            "and only if all labels agree.",
        )
        yield Section("differences", "Paired differences", words, tables=(pairs,))
    if choice.groups is not None:
        yield compared_groups(runs, names, radii, choice.groups)
