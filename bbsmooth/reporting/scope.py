"""Limits of what a run can say: at which radii, and of which images."""

from __future__ import annotations

from collections.abc import Sequence

from bbsmooth.certification import SequentialPlan
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.reading import Run


def decided_radii(records: Sequence[Record]) -> tuple[float, ...] | None:
    """The radii that certificates answer for, ascending; None where they answer for every radius.

    A sequential certification stops as soon as the radii that it was asked about are decided. About any other it has
    drawn too little to say something.
    """
    if not any(record.get("method") == SequentialPlan.name for record in records):
        return None
    return tuple(sorted({item["radius"] for record in records for item in record.get("decisions") or []}))


def speaks_at(records: Sequence[Record], radius: float) -> bool:
    """True where the share of images that are certified at a radius can be told from these certificates."""
    decided = decided_radii(records)
    return decided is None or radius in decided


def missing(run: Run) -> int:
    """Images of a run that were to be certified and are not; -1 where nobody knows how many were.

    Where some are missing, those that are there may be the ones that were cheapest to decide. They are no sample of
    all, so that no interval and no test can be based on them.
    """
    if run.certificates is None:
        return 0
    if run.summary is None:
        return -1
    return max(0, int(run.summary["images"]) - len(run.certificates))


def progress(run: Run) -> str | None:
    """Certified images of all, as text such as "107 of 200"; None where none is missing."""
    if not (left := missing(run)):
        return None
    done = len(run.certificates or [])
    return f"{done:,} of {done + left:,}" if left > 0 else f"{done:,}, unfinished"


def was_tuned(summary: Record) -> bool:
    """True where a summary tells of tuning, and not of pre-training alone."""
    return summary.keys() >= {"method", "steps", "heldout_accuracy_start", "heldout_accuracy_best"}


def told(summary: Record) -> list[Record]:
    """The rows of a summary's curve: of accuracy, or of certified answers without labels.

    Without an interval where images are missing, see `missing`.
    """
    rows: list[Record] = summary.get("certified_accuracy") or summary.get("certified") or []
    whole = summary.get("complete", True)
    return [row if whole else row | {"low": None, "high": None} for row in rows]
