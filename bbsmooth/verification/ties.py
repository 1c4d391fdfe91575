"""Answers on record against the certificates that rest on them, and against the ledger that paid for them.

A run cannot be made smaller without a trace: the answers to draws that no certificate names, or the queries that were
paid for answers that are nowhere, are left over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bbsmooth.certification.methods.cases import AnyPlan
from bbsmooth.runs.directory import Status
from bbsmooth.runs.reading import Run
from bbsmooth.verification.stored import StoredVotes
from oracles import Purpose

VOTES = (Purpose.SELECT, Purpose.ESTIMATE, Purpose.PREDICT)
"""What votes of a certification are for; with the last, the one answer to the image without noise."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answers on record for one image.

    Attributes:
        rows: keys of the rows that may hold them.
        selection: how many chose the class.
        estimation: how many bounded its probability.
    """

    rows: Sequence[bytes]
    selection: int
    estimation: int

    def beyond(self, plan: AnyPlan) -> Iterator[str]:
        """More answers than the settings allow: they were asked for under others."""
        if self.selection > plan.num_selection:
            yield f"{self.selection} answers for the selection are on record, the settings say {plan.num_selection}"
        if self.estimation > plan.max_estimation:
            yield f"{self.estimation} answers for the bound are on record, the settings allow {plan.max_estimation}"


def whole_and_alone(run: Run) -> bool:
    """True if every query of a run was asked by one process, answered at once, and kept in its own record."""
    undisturbed = not run.manifest["resumed"] and not run.manifest.get("reused")
    ledger = run.ledger or {}
    return (
        run.status == Status.DONE
        and undisturbed
        and not ledger.get("retries")
        and run.settings.get("engine", "threads") == "threads"
    )


def left_over(rows: Mapping[bytes, StoredVotes], spare: set[bytes]) -> Iterator[str]:
    """Answers in rows that no certificate rests on."""
    votes = sum(rows[key].answered for key in spare)
    if votes:
        yield f"{votes} answers are on record for images, or under settings, that no certificate names"


def unpaid_or_lost(run: Run, rows: Mapping[bytes, StoredVotes]) -> Iterator[str]:
    """Answers that were not paid for, and queries paid for in vain although nothing went wrong."""
    if run.ledger is None or run.manifest.get("reused"):
        return
    spent = sum(run.ledger["spent"].get(purpose.value, 0) for purpose in VOTES)
    answered, refused = (sum(getattr(tally, name) for tally in rows.values()) for name in ("answered", "refused"))
    if spent < answered:
        yield f"ledger.json: {spent} queries were spent on votes, {answered} answers are on record"
    elif spent > answered and not refused and whole_and_alone(run):
        yield f"ledger.json: {spent} queries were spent on votes, only {answered} answers are on record"
