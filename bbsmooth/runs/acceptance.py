"""Images of an acceptance test as JSON lines and back, and the answers that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bbsmooth.certification.acceptance.case import AcceptingCase
from bbsmooth.certification.acceptance.claims import Acceptance, AcceptancePlan, Answer, Counts
from bbsmooth.certification.acceptance.scheduler import Ticket
from bbsmooth.certification.verdict import State
from bbsmooth.runs.certificates import Record, public_label
from bbsmooth.runs.layout import ACCEPTANCE
from bbsmooth.runs.lines import RecordFile
from bbsmooth.runs.reading import read_acceptance
from bbsmooth.runs.records.values import Label
from oracles import Classes


def acceptance_record(ticket: Ticket, label: Label, case: AcceptingCase, classes: Classes, seconds: float) -> Record:
    """One line of `acceptance.jsonl`.

    Args:
        ticket: the image and its place.
        label: true class as in files.
        case: finished.
        classes: of the oracle.
        seconds: wall time.
    """
    counts = case.counts
    return {
        "position": ticket.position,
        "index": ticket.index,
        "group": ticket.group,
        "occurrence": ticket.occurrence,
        "label": label,
        "counts": {str(public_label(number, classes)): votes for number, votes in sorted(counts.items())},
        "draws": case.draws,
        "successes": counts[case.label],
        "decisions": [{**asdict(decision), "state": decision.state.value} for decision in case.decisions],
        "reason": None if case.reason is None else case.reason.value,
        "aside": case.aside,
        "total_variation": case.total_variation,
        "seconds": round(seconds, 4),
    }


class AcceptanceFile(RecordFile):
    """`acceptance.jsonl`: one line an image.

    Args:
        folder: the run directory. Lines that stand there are kept; half a line that a crash left is removed.

    Raises:
        Damaged: a line is not one of an acceptance test, or the lines are not in their order.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is there."""
        super().__init__(folder / ACCEPTANCE, read_acceptance(folder))


def replayed(plan: AcceptancePlan, total_variation: float, records: Sequence[Record]) -> Acceptance:
    """The claims after the images of these lines.

    Raises:
        ValueError: an image that no claim wants, or a group or state that there is not.
    """
    acceptance = plan.begin(total_variation)
    positions: dict[tuple[str, int], int] = {}
    for record in records:
        turn = acceptance.turn()
        if turn is None or turn.group != record["group"]:
            raise ValueError(f"image {record['index']} answers nothing that is still open")
        states = [State(decision["state"]) for decision in record["decisions"]]
        if len(states) != len(plan.test.radii):
            raise ValueError(f"image {record['index']} has {len(states)} decisions for {len(plan.test.radii)} radii")
        if positions.setdefault((turn.group, turn.place), record["position"]) != record["position"]:
            raise ValueError(f"image {record['index']} has the turn of another one")
        acceptance.see(record["group"], states, aside=record["aside"])
    return acceptance


def summarize_acceptance(
    acceptance: Acceptance, records: Sequence[Record], *, seconds: float, seen_before: bool
) -> Record:
    """The summary of an acceptance test.

    Args:
        acceptance: the claims after all images.
        records: lines of these.
        seconds: wall time that the run took.
        seen_before: whether the classifier was made on these images.
    """
    return {
        "answer": acceptance.answer.value,
        "answered": acceptance.answered,
        "claims": [
            _claim(acceptance.plan, group, counts, place)
            for group, counts in acceptance.groups.items()
            for place in range(len(counts.answers))
        ],
        "images": len(latest(records)),
        "queries": sum(record["draws"] for record in latest(records)),
        "certified_by_chance": [certified for certified, _ in acceptance.leaks],
        "refuted_by_chance": [refuted for _, refuted in acceptance.leaks],
        "seconds": round(seconds, 3),
        "seen_before": seen_before,
    }


def latest(records: Sequence[Record]) -> list[Record]:
    """The last line of each image, in the order of the first ones."""
    return list({record["position"]: record for record in records}.values())


def _claim(plan: AcceptancePlan, group: str, counts: Counts, place: int) -> Record:
    answer, certified, refuted = counts.answers[place], counts.certified[place], counts.refuted[place]
    risks = {Answer.SHOWN: plan.alpha_total, Answer.REFUTED: plan.beta}
    return {
        "group": group,
        "radius": plan.test.radii[place],
        "at_least": plan.at_least,
        "answer": answer.value,
        "risk": risks.get(answer),
        "population": plan.sizes[group],
        "images": counts.images,
        "certified": certified,
        "refuted": refuted,
        "undecided": counts.images - certified - refuted,
    }
