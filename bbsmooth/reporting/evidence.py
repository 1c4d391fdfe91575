"""The evidence of a run for auditors, in the order of a test report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bbsmooth.reporting.acceptance import answer_sentence
from bbsmooth.reporting.model import Cell, Column, Section, Table
from bbsmooth.reporting.numbers import count
from bbsmooth.reporting.words import sigma_words
from bbsmooth.runs.acceptance import latest
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.commitment import read_commitment
from bbsmooth.runs.layout import ATTESTATION, COMMITMENT, STAMP
from bbsmooth.runs.reading import Run
from bbsmooth.settings.accept import SOURCE

_WORDS = (
    "This section is evidence: what was asked, of what, how, and what came out. It states no conformity with any rule, "
    "and nobody's obligation."
)
_NOT_TESTED = (
    "changes other than those within the radius; the classifier without noise; the classifier after it was asked; "
    "whether the labels are right"
)


def evidence(run: Run) -> Section | None:
    """Return the section, None where the run asked nobody in a way that it describes, or came to nothing."""
    rows = _ROWS.get(run.command)
    if rows is None or run.summary is None:
        return None
    columns = (Column("part", "part", numeric=False), Column("what", "what", numeric=False))
    found = tuple((Cell(part, part), Cell(text, text)) for part, text in rows(run, run.summary))
    return Section("evidence", "Evidence", (_WORDS,), tables=(Table("evidence", "Evidence", columns, found),))


def _accepted(run: Run, summary: Record) -> Iterator[tuple[str, str]]:
    settings, images = run.settings, sum(run.manifest["groups"].values())  # type: ignore[typeddict-item]
    about = "what they are a random sample of" if settings["population"] == SOURCE else "these images alone"
    yield from _subject(run, f"{count(images, 'image')} of {_data(run)}; {about}")
    yield (
        "method",
        f"sequential test of each image's own label under {_noise(run)} "
        f"(levels {settings['image_alpha']:g} and {settings['image_beta']:g}, at most "
        f"{settings['num_estimation']:,} draws), and an exact sequential test over images in random order (risks "
        f"{settings['alpha_total']:g} and {settings['beta']:g})",
    )
    yield from _circumstances(run)
    yield "result", answer_sentence(settings, summary)
    yield "uncertainty", _uncertainty(summary)
    yield from _rest(run, summary, f"images that were not reached; {_NOT_TESTED}")


def _certified(run: Run, summary: Record) -> Iterator[tuple[str, str]]:
    settings = run.settings
    yield from _subject(run, f"{count(summary['images'], 'image')} of {_data(run)}, from the first")
    shared = f", shared among all images by {settings['family_wise']}" if settings.get("family_wise") else ""
    rate = settings.get("false_discovery_rate")
    issued = "" if rate is None else f"; certificates are issued where the false discovery rate is at most {rate:g}"
    yield (
        "method",
        f"{settings['method']} certification under {_noise(run)}: {settings['num_selection']:,} draws choose the "
        f"class, at most {settings['num_estimation']:,} others bound its probability at level "
        f"{settings['alpha']:g}{shared}{issued}",
    )
    yield from _circumstances(run)
    marks = summary.get("certified_accuracy") or []
    yield (
        "result",
        "; ".join(map(_mark, marks)) or f"{count(summary['images'], 'image')} without labels to compare with",
    )
    yield (
        "uncertainty",
        "in brackets intervals over images, were these a random sample, without the draws; each certificate is false "
        f"with probability at most {settings['alpha']:g} over its draws",
    )
    yield from _rest(run, summary, f"images beyond these; {_NOT_TESTED}")


def _attacked(run: Run, summary: Record) -> Iterator[tuple[str, str]]:
    settings = run.settings
    yield from _subject(run, f"{count(summary['images'], 'image')} of {_data(run)} that were certified before")
    yield (
        "method",
        f"{settings['method']} attack on the classifier under {_noise(run)}, votes decide at level "
        f"{settings['alpha']:g} whether an image is turned",
    )
    yield from _circumstances(run)
    turned = len(summary["contradictions"])
    yield "result", f"{count(turned, 'image')} turned inside a certified radius"
    yield "uncertainty", "an attack that finds nothing shows nothing: others may find more"
    yield from _rest(run, summary, "attacks other than this one; the classifier after it was asked")


def _tuned(run: Run, summary: Record) -> Iterator[tuple[str, str]]:
    fixed = _images_fixed(run)
    yield from _subject(run, f"{count(fixed, 'image')} of {_data(run)}" if fixed else _data(run))
    yield "method", f"a coordinator tuned by {summary.get('method', run.settings['method'])} under {_noise(run)}"
    yield from _circumstances(run)
    before, after = summary.get("heldout_accuracy_start"), summary.get("heldout_accuracy_best")
    held = "" if before is None or after is None else f": accuracy under noise {before:.3f} before, {after:.3f} after"
    parameters = summary.get("parameters")
    yield "result", f"a coordinator{'' if parameters is None else f' with {parameters:,} tuned parameters'}{held}"
    yield "uncertainty", "held-out images chose what was kept, so that their accuracy flatters it a little"
    yield from _rest(run, summary, "certified accuracy; images that tuning did not see")


_ROWS: Mapping[str, Callable[[Run, Record], Iterator[tuple[str, str]]]] = {
    "accept": _accepted,
    "certify": _certified,
    "attack": _attacked,
    "tune": _tuned,
}
"""By command, the rows of its section."""


def _subject(run: Run, scope: str) -> Iterator[tuple[str, str]]:
    yield "scope", scope
    oracle, front = run.oracle, run.manifest.get("coordinator")
    yield "object", "not on record" if oracle is None else f"{oracle['name']}, fingerprint {oracle['fingerprint']}"
    yield "in front of it", "nothing" if not front else f"a coordinator, fingerprint {front['fingerprint']}"


def _circumstances(run: Run) -> Iterator[tuple[str, str]]:
    yield "fixed beforehand", _fixed(run)
    packages = run.manifest.get("versions") or {}
    yield "environment", ", ".join(f"{name} {number}" for name, number in packages.items())
    yield "time", f"{run.manifest.get('started')} to {run.manifest.get('ended')}"


def _rest(run: Run, summary: Record, untested: str) -> Iterator[tuple[str, str]]:
    yield "deviations", "; ".join(_deviations(run, summary)) or "none recorded"
    yield "not tested", untested
    yield "signed", ATTESTATION if (run.path / ATTESTATION).exists() else "no"


def _data(run: Run) -> str:
    return "images" if run.data is None else f"{run.data['name']} ({run.data['split']} split)"


def _noise(run: Run) -> str:
    return f"{run.settings['noise']} noise of standard deviation {sigma_words(run)}"


def _mark(mark: Record) -> str:
    return (
        f"{100 * mark['value']:.1f} % right and certified at radius {mark['radius']:g} "
        f"({100 * mark['low']:.1f} to {100 * mark['high']:.1f})"
    )


def _images_fixed(run: Run) -> int:
    """Number of images in the commitment, 0 without one."""
    return len(read_commitment(run.path)["images"]) if (run.path / COMMITMENT).exists() else 0


def _fixed(run: Run) -> str:
    note = dict(run.manifest).get("commitment")
    if not isinstance(note, dict):
        return "nothing is on record"
    seed = "the seed was given by who ran it"
    stamped = note.get("stamped")
    if stamped is None:
        return f"commitment.json, SHA-256 {note['sha256']}, without an authority's stamp; {seed}"
    return f"commitment.json, SHA-256 {note['sha256']}, stamped {stamped} ({STAMP})"


def _uncertainty(summary: Record) -> str:
    certified, refuted = max(summary["certified_by_chance"]), max(summary["refuted_by_chance"])
    return (
        f"an image that is not robust is certified with probability at most {certified:.3g}, one that is refuted with "
        f"probability at most {refuted:.3g}; both are within the risk of the answer"
    )


def _deviations(run: Run, summary: Record) -> Iterator[str]:
    if run.status != "done":
        yield f"the run ended early: {run.status}"
    if resumed := len(run.manifest["resumed"]):
        yield f"it was resumed {count(resumed, 'time')}"
    if (earlier := run.manifest.get("reused")) is not None:
        yield f"answers of the run {earlier['run']} of {earlier['started']} were reused, which were there before"
    fixed, records = _images_fixed(run), run.certificates or []
    if fixed and (beyond := sum(record["index"] >= fixed for record in records)):
        yield f"{count(beyond, 'image')} were certified beyond the {fixed:,} that were fixed beforehand"
    if run.command == "accept":
        yield from _without_answer(run, summary)
    if (run.manifest.get("drift") or {}).get("changed"):
        yield "the classifier was found to have changed"
    if summary.get("seen_before"):
        yield "the classifier or its coordinator was made on these images"


def _without_answer(run: Run, summary: Record) -> Iterator[str]:
    refused = sum(record["reason"] is not None for record in latest(run.accepted or []))
    if refused:
        yield f"the classifier refused to answer about {count(refused, 'image')}, which count for neither side"
    undecided = sum(claim["undecided"] for claim in summary["claims"][:1]) - refused
    if undecided > 0:
        yield f"{count(undecided, 'image')} stayed undecided, or were set aside since the answer did without them"
