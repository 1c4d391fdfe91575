"""The report of one run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bbsmooth.errors import UsageError
from bbsmooth.reporting import charts, scope, tables
from bbsmooth.reporting.acceptance import answer_sentence, claims_table
from bbsmooth.reporting.evidence import evidence
from bbsmooth.reporting.gallery import MOST_ROWS, gallery, left_out
from bbsmooth.reporting.groups import groups_section
from bbsmooth.reporting.model import Document, Line, LineChart, Section, marks_table
from bbsmooth.reporting.numbers import count
from bbsmooth.reporting.words import norm_word, overview, proven_word
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.reading import Run

if TYPE_CHECKING:
    from bbsmooth.reporting.views import Views

PICTURED = 120
"""Images of a page that have pictures, where nobody asks for another number."""


def document(run: Run, *, pictured: int = PICTURED, attacks: Sequence[Run] = (), groups: str | None = None) -> Document:
    """Everything about a run.

    Args:
        run: what its files say.
        pictured: most images that get pictures.
        attacks: runs of `bbsmooth attack` on it, see `refuse_foreign`.
        groups: by which certified accuracy is split, see `bbsmooth.reporting.groups`; None for not at all.
    """
    from bbsmooth.reporting.views import views  # and torch, which text does without

    found = views(run, pictured)
    return Document(
        title=f"{run.command}: {run.name}",
        lead=overview(run),
        facts=tables.facts(run),
        sections=tuple(_sections(run, attacks, groups)),
        gallery=gallery(run, found),
        gallery_notes=tuple(_gallery_notes(run, found)),
        appendix=(_manifest(run), _verification(run)),
    )


def refuse_foreign(run: Run, attacks: Sequence[Run]) -> None:
    """Refuse attacks on something else.

    Raises:
        UsageError: the first that did not attack the same oracle, coordinator and data, or is no attack.
    """
    for attack in attacks:
        if attack.command != "attack":
            raise UsageError(f"{attack.path} is a run of `bbsmooth {attack.command}`, not of `bbsmooth attack`")
        for key in ("oracle", "coordinator", "data"):
            if attack.manifest.get(key) != run.manifest.get(key):
                raise UsageError(f"{attack.place} did not attack {run.place}: its {key} is another one")


def accuracy(run: Run, attacks: Sequence[Run] = ()) -> LineChart | None:
    """Certified accuracy of a run against the radius, and accuracy under attacks above it."""
    records, summary = run.certificates, run.summary
    if not records or summary is None:
        return None
    labelled, what = bool(summary.get("certified_accuracy")), proven_word(summary)
    marks = charts.summary_points(scope.told(summary))
    whole = not scope.missing(run)
    lines = [charts.certified_line(what, records, marks, whole=whole, labelled=labelled)]
    lines += [_attacked(attack, of=len(records)) for attack in attacks if attack.summary]
    return charts.accuracy_chart(lines, norm_word(records), what)


def attack_chart(run: Run) -> LineChart | None:
    """Chart of the accuracy that an attack left, and of what was certified of the same images."""
    if run.command != "attack" or not run.summary or not run.summary["accuracy"]:
        return None
    proven = charts.summary_points([{"radius": row["radius"]} | row["certified"] for row in run.summary["accuracy"]])
    lines = (Line("certified", proven, proven, steps=False), _attacked(run, of=run.summary["images"]))
    return charts.accuracy_chart(lines, "L2", "accuracy")


def history(run: Run) -> tuple[LineChart, ...]:
    """Charts of tuning or training, against queries or epochs."""
    return charts.history_charts([(run.name, run.history)]) if run.history else ()


def _attacked(attack: Run, *, of: int) -> Line:
    """Accuracy under an attack; its name says so where not all of the images were attacked."""
    summary = attack.summary or {}
    points = charts.summary_points([{"radius": row["radius"]} | row["empirical"] for row in summary["accuracy"]])
    part = "" if summary["images"] == of else f", {count(summary['images'], 'image')} of {of:,}"
    return Line(f"under attack ({attack.settings['method']}{part})", points, points, steps=False)


def _sections(run: Run, attacks: Sequence[Run], groups: str | None) -> Iterator[Section]:
    summary = run.summary or {}
    chart, table, decisions = accuracy(run, attacks), tables.accuracy_table(summary), tables.decisions_table(summary)
    if chart and table:
        yield Section("accuracy", table.title, charts=(chart,), tables=(table, decisions) if decisions else (table,))
    if groups is not None:
        yield groups_section(run, groups)
    if under := attack_chart(run):
        yield Section("accuracy", "Accuracy under attack", charts=(under,), tables=(marks_table(under),))
    if run.command == "accept" and run.summary:
        found = claims_table(summary)
        yield Section("answers", found.title, (answer_sentence(run.settings, summary),), tables=(found,))
    if (found_evidence := evidence(run)) is not None:
        yield found_evidence
    if run.certificates:
        yield _spread(run.certificates)
    trained = tables.training_table(summary) if run.command == "train" else None
    if (lines := history(run)) or trained:
        title = "Training" if run.command == "train" else "Tuning"
        yield Section(title.lower(), title, charts=lines, tables=(trained,) if trained else ())
    if run.predictions:
        yield Section("predictions", "Predictions", tables=(tables.predictions_table(run.predictions),))
    if run.ledger is not None:
        yield Section("cost", "What it cost", tables=(tables.ledger_table(run.ledger),))


def _spread(records: list[Record]) -> Section:
    labelled = all(record["label"] is not None for record in records)
    radii = charts.radius_histogram(records, norm_word(records), labelled=labelled)
    queries = {record["queries"] for record in records}
    if len(queries) == 1:
        words = (f"Each image took {queries.pop():,} queries.",) if records[0]["queries"] else ()
        return Section("radii", "Radii", words, charts=(radii,))
    return Section("radii", "Radii and queries", charts=(radii, charts.queries_histogram(records)))


def _gallery_notes(run: Run, found: Views) -> Iterator[str]:
    yield from found.notes
    if found.pictures and len(found.pictures) < len(run.certificates or []):
        yield f"{len(found.pictures):,} images, spread evenly over the radii, are shown; the others have their numbers."
    if "noisy" in found.names:
        yield "Noisy copies were drawn again from the run's seed; they are clipped to what a screen can show."
    if rest := left_out(run):
        yield f"The first {MOST_ROWS:,} images are listed; certificates.jsonl has {rest:,} more."


def _manifest(run: Run) -> Section:
    return Section("manifest", "Manifest", tables=(tables.manifest_table(run.manifest),), folded=True)


def _verification(run: Run) -> Section:
    return Section(
        "verify",
        "How to verify this",
        words=(
            "With the run directory at hand, the command below recomputes every bound and radius from the recorded "
            "counts, and the summary from the certificates, checks that no image is missing or counted twice and that "
            "the ledger covers every recorded answer, and compares each file with the hash in the manifest. It asks "
            "the classifier nothing.",
        ),
        commands=(f"bbsmooth verify {shlex.quote(run.place)}",),
    )
