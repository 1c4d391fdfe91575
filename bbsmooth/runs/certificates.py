"""Verdicts as JSON lines and back, and what they say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bbsmooth.certification import Abstention, Certificate, Outcome, Verdict
from bbsmooth.certification.protocols import Terms
from bbsmooth.errors import UsageError
from bbsmooth.noise import Norm, implied_radius
from bbsmooth.runs.decoding import Damaged, read_lines, read_record, with_methods_of_today
from bbsmooth.runs.files import write_json
from bbsmooth.runs.layout import CERTIFICATES, SUMMARY
from bbsmooth.runs.lines import RecordFile
from bbsmooth.runs.records.lines import CertificateLine
from bbsmooth.runs.records.summaries import SUMMARIES
from bbsmooth.runs.records.values import Label
from oracles import Classes

CONFIDENCE = 0.95
"""Of the intervals for shares of images."""

IMPORTED = "imported"
"""Method of the lines of a log that `import-log` read."""

Record = dict[str, Any]


def public_label(number: int, classes: Classes) -> Label:
    """Name of a class in files: its number, or in an open set, where numbers mean nothing, its name."""
    return classes.name(number) if classes.open_set else number


def certificate_record(
    index: int, label: Label | None, outcome: Outcome, plan: Terms, classes: Classes, seconds: float
) -> Record:
    """One line of `certificates.jsonl`.

    Args:
        index: of the image in the data.
        label: true class as in files, None where the image has none.
        outcome: what is proven.
        plan: the settings.
        classes: of the oracle.
        seconds: wall time.
    """
    verdict, evidence = outcome.verdict, outcome.verdict.evidence
    predicted = public_label(verdict.label, classes) if isinstance(verdict, Certificate) else None
    return {
        "index": index,
        "label": label,
        "predicted": predicted,
        "correct": None if label is None else predicted == label,
        "abstained": isinstance(verdict, Abstention),
        "reason": verdict.reason.value if isinstance(verdict, Abstention) else None,
        "radius": verdict.radius if isinstance(verdict, Certificate) else None,
        "norm": plan.noise.norm.value,
        "p_lower": evidence.p_lower,
        "selected": None if evidence.selected is None else public_label(evidence.selected, classes),
        "selection_votes": outcome.selection_votes,
        "counts": {str(public_label(number, classes)): votes for number, votes in evidence.counts.items()},
        "n0": evidence.num_selection,
        "n": evidence.num_estimation,
        "alpha": evidence.alpha,
        "sigma": plan.noise.sigma,
        "noise": plan.noise.name,
        "total_variation": evidence.total_variation,
        "details": dict(evidence.details),
        "method": plan.name,
        **plan.terms,
        "decisions": [{**asdict(decision), "state": decision.state.value} for decision in outcome.decisions],
        "queries": evidence.queries,
        "seconds": round(seconds, 4),
    }


def radii_by_norm(verdict: Verdict, values: int) -> Record:
    """Return a certificate line's entries for its radius in every norm, for images of `values` values."""
    if isinstance(verdict, Abstention):
        return {f"radius_{norm.value}": None for norm in Norm}
    return {f"radius_{norm.value}": implied_radius(verdict.radius, verdict.norm, norm, values=values) for norm in Norm}


class CertificateFile(RecordFile):
    """`certificates.jsonl`: one line an image.

    Args:
        folder: the run directory. Lines that stand there are kept; half a line that a crash left is removed.

    Raises:
        UsageError: a line is not a certificate.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is there."""
        path = folder / CERTIFICATES
        super().__init__(path, read_certificates(folder) if path.exists() else [])


def read_certificates(folder: Path) -> list[Record]:
    """The certificates of a run, by index; half a line at the end, left by a crash, is not one.

    Raises:
        UsageError: the file is missing, a line is not a certificate, or an image has two.
    """
    path = folder / CERTIFICATES
    if not path.exists():
        raise UsageError(f"cannot read {path}: it is not there; name a run of `bbsmooth certify`")
    records: list[Record] = [
        with_methods_of_today(dict(line)) for line in read_lines(path, CertificateLine, "a certificate")
    ]
    _refuse_unstated(path, records)
    refuse_twice(path, records)
    return sorted(records, key=lambda record: record["index"])


def _refuse_unstated(path: Path, records: Sequence[Record]) -> None:
    """Refuse a line that leaves out what only the line of an imported log may."""
    for number, record in enumerate(records, 1):
        unstated = [field for field in ("n0", "n", "alpha") if record[field] is None]
        if unstated and record.get("method") != IMPORTED:
            raise Damaged(
                f"{path}, line {number}, is not a certificate: it gives no {unstated[0]}; restore it from a copy"
            )


def refuse_twice(path: Path, records: Sequence[Record]) -> None:
    """Refuse a file with two lines for one image.

    Raises:
        Damaged: it has.
    """
    twice = [index for index, lines in Counter(record["index"] for record in records).items() if lines > 1]
    if twice:
        raise Damaged(f"{path} has image {twice[0]} twice; restore it from a copy")


def write_summary(folder: Path, summary: Record) -> None:
    """Write `summary.json`."""
    write_json(folder / SUMMARY, summary)


def read_summary(folder: Path, command: str = "") -> Record:
    """The summary of a run; where its command is given, with everything that this command writes there.

    Raises:
        Damaged: it is missing or unreadable.
    """
    summary: Record = dict(read_record(folder / SUMMARY, SUMMARIES.get(command, dict)))
    if "expected" in summary:  # a row a method, of `plan`
        summary["expected"] = [with_methods_of_today(row) for row in summary["expected"]]
    return summary
