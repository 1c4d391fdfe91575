"""Certificates that a run does not issue: too few to bound the share of wrong ones among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bbsmooth.certification.verdict import Reason
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.reading import Run, read_run

_CLAIMS = ("predicted", "radius", "radius_l1", "radius_l2", "radius_linf")


def withheld(records: Sequence[Record]) -> list[Record]:
    """The records with abstentions in place of certificates; what was counted stays."""
    return [record if record["abstained"] else _abstention(record) for record in records]


def _abstention(record: Record) -> Record:
    nothing = dict.fromkeys(key for key in _CLAIMS if key in record)
    correct = None if record["label"] is None else False
    return record | nothing | {"abstained": True, "correct": correct, "reason": Reason.FALSE_DISCOVERY.value}


def issued(run: Run) -> Run:
    """The run as it may be read: without the certificates that it does not issue."""
    if run.certificates is None or run.settings.get("false_discovery_rate") is None:
        return run
    if ((run.summary or {}).get("false_discovery") or {}).get("issued"):
        return run
    return replace(run, certificates=withheld(run.certificates))


def read_issued(path: Path) -> Run:
    """Read a run directory without the certificates that the run does not issue.

    Raises:
        UsageError: as `read_run`.
    """
    return issued(read_run(path))
