"""The evidence of an acceptance test for auditors, in the order of a test report."""

from __future__ import annotations

from collections.abc import Iterator

from bbsmooth.reporting.acceptance import answer_sentence
from bbsmooth.reporting.model import Cell, Column, Section, Table
from bbsmooth.reporting.numbers import count
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.layout import ATTESTATION, STAMP
from bbsmooth.runs.reading import Run
from bbsmooth.settings.accept import SOURCE

_WORDS = (
    "This section is evidence: what was asked, of what, how, and what came out. It states no conformity with any rule, "
    "and nobody's obligation."
)


def evidence(run: Run) -> Section | None:
    """Return the section, None where the run is no acceptance test or came to nothing."""
    if run.command != "accept" or run.summary is None:
        return None
    columns = (Column("part", "part", numeric=False), Column("what", "what", numeric=False))
    rows = tuple((Cell(part, part), Cell(text, text)) for part, text in _rows(run, run.summary))
    return Section("evidence", "Evidence", (_WORDS,), tables=(Table("evidence", "Evidence", columns, rows),))


def _rows(run: Run, summary: Record) -> Iterator[tuple[str, str]]:
    settings, manifest = run.settings, run.manifest
    images = sum(manifest["groups"].values())  # type: ignore[typeddict-item]  # of `AcceptManifest`
    about = "what they are a random sample of" if settings["population"] == SOURCE else "these images alone"
    yield (
        "scope",
        f"{count(images, 'image')} of {manifest['data']['name']} ({manifest['data']['split']} split); {about}",
    )
    yield "object", f"{manifest['oracle']['name']}, fingerprint {manifest['oracle']['fingerprint']}"
    front = manifest.get("coordinator")
    yield "in front of it", "nothing" if not front else f"a coordinator, fingerprint {front['fingerprint']}"
    yield (
        "method",
        f"sequential test of each image's own label under {settings['noise']} noise of standard deviation "
        f"{settings['sigma']:g} (levels {settings['image_alpha']:g} and {settings['image_beta']:g}, at most "
        f"{settings['num_estimation']:,} draws), and an exact sequential test over images in random order (risks "
        f"{settings['alpha_total']:g} and {settings['beta']:g})",
    )
    yield "fixed beforehand", _fixed(run)
    packages = manifest.get("versions") or {}
    yield "environment", ", ".join(f"{name} {number}" for name, number in packages.items())
    yield "time", f"{manifest.get('started')} to {manifest.get('ended')}"
    yield "result", answer_sentence(settings, summary)
    yield "uncertainty", _uncertainty(summary)
    yield "deviations", "; ".join(_deviations(run, summary)) or "none recorded"
    yield (
        "not tested",
        "images that were not reached; changes other than those within the radius; the classifier without noise; the "
        "classifier after it was asked; whether the labels are right",
    )
    yield "signed", ATTESTATION if (run.path / ATTESTATION).exists() else "no"


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
    refused = sum(record["reason"] is not None for record in run.accepted or [])
    if refused:
        yield f"the classifier refused to answer about {count(refused, 'image')}, which count for neither side"
    undecided = sum(claim["undecided"] for claim in summary["claims"][:1]) - refused
    if undecided > 0:
        yield f"{count(undecided, 'image')} stayed undecided"
    if (run.manifest.get("drift") or {}).get("changed"):
        yield "the classifier was found to have changed"
    if summary["seen_before"]:
        yield "the classifier or its coordinator was made on these images"
