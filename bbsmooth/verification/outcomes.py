"""From a line of `certificates.jsonl` back to what was proven."""

from __future__ import annotations

from bbsmooth.certification import Abstention, Certificate, Decision, Evidence, Outcome, Reason, State, Verdict
from bbsmooth.noise import Norm
from bbsmooth.runs.certificates import Record


def outcome_of(record: Record) -> Outcome:
    """The outcome that a line tells; classes that have names are numbered in their order on the line.

    Raises:
        KeyError, TypeError, ValueError: the line is not complete.
    """
    decisions = tuple(
        Decision(
            radius=item["radius"],
            state=State(item["state"]),
            draws=item["draws"],
            successes=item["successes"],
        )
        for item in record["decisions"]
    )
    return Outcome(verdict=_verdict(record), selection_votes=record["selection_votes"], decisions=decisions)


def _verdict(record: Record) -> Verdict:
    names = {str(record["selected"]): 0}
    counts = {names.setdefault(name, len(names)): votes for name, votes in record["counts"].items()}
    evidence = Evidence(
        selected=None if record["selected"] is None else 0,
        counts=counts,
        p_lower=record["p_lower"],
        alpha=record["alpha"],
        num_selection=record["n0"],
        num_estimation=record["n"],
        total_variation=record["total_variation"],
        details=record["details"],
    )
    if record["abstained"]:
        return Abstention(evidence=evidence, reason=Reason(record["reason"]))
    return Certificate(label=0, radius=record["radius"], norm=Norm(record["norm"]), evidence=evidence)
