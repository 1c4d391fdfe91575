"""Verdicts as JSON lines and back, and what they say together."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bbsmooth.certification import Abstention, Certificate, Outcome, Verdict
from bbsmooth.certification.protocols import Terms
from bbsmooth.errors import UsageError
from bbsmooth.noise import Norm, implied_radius
from bbsmooth.runs.files import explained, write_json
from oracles import Classes

CERTIFICATES = "certificates.jsonl"
SUMMARY = "summary.json"
PREDICTIONS = "predictions.json"
CONFIDENCE = 0.95
"""Of the intervals for shares of images."""

Record = dict[str, Any]
Label = int | str


def public_label(number: int, classes: Classes) -> Label:
    """What files call a class: its number, or in an open set, where numbers mean nothing, its name."""
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
    """What the line of a certificate says of its radius in every norm, for images of so many values."""
    if isinstance(verdict, Abstention):
        return {f"radius_{norm.value}": None for norm in Norm}
    return {f"radius_{norm.value}": implied_radius(verdict.radius, verdict.norm, norm, values=values) for norm in Norm}


class CertificateFile:
    """`certificates.jsonl`: one line an image, on disk before the next image is reported.

    Args:
        folder: the run directory. Lines that stand there are kept; half a line that a crash left is removed.

    Raises:
        UsageError: a line is not a certificate.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is there."""
        self.path = folder / CERTIFICATES
        self.records = read_certificates(folder) if self.path.exists() else []
        with explained(self.path):
            self._file = self.path.open("r+b" if self.path.exists() else "w+b", buffering=0)
            whole = self._file.read().rfind(b"\n") + 1
            self._file.truncate(whole)
            self._file.seek(whole)

    def append(self, record: Record) -> None:
        """Write one line and sync it."""
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        with explained(self.path):
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        self.records.append(record)

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def read_certificates(folder: Path) -> list[Record]:
    """The certificates of a run, by index; half a line at the end, left by a crash, is not one.

    Raises:
        UsageError: the file is missing, or a line is not a certificate.
    """
    path = folder / CERTIFICATES
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; name a run of `bbsmooth certify`") from error
    records = []
    for number, line in enumerate(raw[: raw.rfind(b"\n") + 1].splitlines(), 1):
        try:
            record = json.loads(line)
            record["radius"], record["correct"], record["abstained"]
            if not isinstance(record["index"], int | float):
                raise TypeError(f"its index is {record['index']!r}")
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}, line {number}, is not a certificate: {error}") from error
        records.append(record)
    return sorted(records, key=lambda record: record["index"])


def write_summary(folder: Path, summary: Record) -> None:
    """Write `summary.json`."""
    write_json(folder / SUMMARY, summary)


def read_summary(folder: Path) -> Record:
    """What `summary.json` says.

    Raises:
        UsageError: it is missing or unreadable.
    """
    try:
        return dict(json.loads((folder / SUMMARY).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"cannot read {folder / SUMMARY}: {error}") from error
