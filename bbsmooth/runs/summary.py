"""Summaries: the certificates of a run taken together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bbsmooth.certification import (
    CohenPlan,
    Reason,
    State,
    average_certified_radius,
    average_radius_interval,
    certified_accuracy,
    holm,
)
from bbsmooth.certification.bounds.means import MeanBetting
from bbsmooth.certification.bounds.multiplicity import FalseDiscovery, FamilyWise, p_value
from bbsmooth.noise import DISTRIBUTIONS
from bbsmooth.runs.certificates import CONFIDENCE, Record
from bbsmooth.runs.issuing import withheld


def summarize(
    records: Sequence[Record],
    radii: Sequence[float],
    *,
    images: int,
    seconds: float,
    largest_radius: float | None = None,
    family_wise: FamilyWise | None = None,
    discovery: FalseDiscovery | None = None,
) -> Record:
    """Certified accuracy at each radius and ACR with their intervals, decisions, abstentions, share of right votes.

    Without labels `certified_accuracy` is None, and `certified` alone says how many answers are proven stable.

    Args:
        records: certificates.
        radii: at which to count.
        images: how many the run is to certify in all.
        seconds: wall time that the run took.
        largest_radius: no certificate can have a larger one; None where nobody knows, and so no interval for the ACR.
        family_wise: level that all images share, None where each has its own.
        discovery: when certificates are issued, None for always. Those that are not count as abstentions.
    """
    records = sorted(records, key=lambda record: record["index"])
    found = None if discovery is None else _false_discovery(records, images, discovery)
    if found is not None and not found["issued"]:
        records = withheld(records)
    labelled = bool(records) and all(record["label"] is not None for record in records)
    correct = [record["radius"] if record["correct"] else None for record in records]
    certified = [record["radius"] for record in records]
    return {
        "images": images,
        "certificates": len(records),
        "complete": len(records) == images,
        "abstained": sum(record["abstained"] for record in records),
        "reasons": dict(Counter(record["reason"] for record in records if record.get("reason"))),
        "confidence": CONFIDENCE,
        "certified_accuracy": _curve(correct, radii) if labelled else None,
        "certified": _curve(certified, radii) if records else None,
        "decisions": _decisions(records, radii),
        "family_wise": None if family_wise is None else _family_wise(records, radii, images, family_wise),
        "false_discovery": found,
        "noisy_accuracy": _noisy_accuracy(records) if labelled else None,
        "acr": average_certified_radius(correct) if labelled else None,
        "acr_interval": _acr_interval(correct, largest_radius) if labelled and largest_radius else None,
        "queries": sum(record["queries"] for record in records),
        "seconds": round(seconds, 3),
    }


def _curve(radii_of_images: Sequence[float | None], radii: Sequence[float]) -> list[Record]:
    rows = []
    for radius in radii:
        found = certified_accuracy(radii_of_images, radius, confidence=CONFIDENCE)
        rows.append({"radius": radius, "value": found.value, "low": found.low, "high": found.high})
    return rows


def _decisions(records: Sequence[Record], radii: Sequence[float]) -> list[Record] | None:
    """For each radius how many images it is certified, refuted or undecided for; None where none was decided."""
    if not any(record.get("decisions") for record in records):
        return None
    states = Counter((item["radius"], item["state"]) for record in records for item in record["decisions"])
    unanswered = sum(not record["decisions"] for record in records)
    return [
        {"radius": radius} | {state.value: states[radius, state.value] for state in State} | {"unanswered": unanswered}
        for radius in radii
    ]


def _family_wise(records: Sequence[Record], radii: Sequence[float], images: int, family_wise: FamilyWise) -> Record:
    """Results that hold for all images at once. Holm's procedure needs every p-value, and so a complete run."""
    found: Record = {"method": family_wise.method, "alpha": family_wise.alpha, "images": images, "certified": None}
    if family_wise.method == "holm" and len(records) == images:
        found["certified"] = [
            {
                "radius": radius,
                "images": sum(holm([_p_value(record, radius) for record in records], family_wise.alpha)),
            }
            for radius in radii
        ]
    return found


def _false_discovery(records: Sequence[Record], images: int, discovery: FalseDiscovery) -> Record:
    """Whether enough of all images are certified. More certificates later only help, so that enough are enough."""
    certified, needed = sum(not record["abstained"] for record in records), discovery.needed(images)
    return {
        "rate": discovery.rate,
        "alpha": discovery.alpha,
        "images": images,
        "certified": certified,
        "needed": needed,
        "issued": certified >= needed,
    }


def _p_value(record: Record, radius: float) -> float:
    """Of "the selected class does not hold the probability that `radius` needs"."""
    if record["reason"] not in (None, Reason.UNPROVEN):
        return 1.0
    need = DISTRIBUTIONS[record["noise"]](record["sigma"]).probability(radius) + record["total_variation"]
    return p_value(record["counts"].get(str(record["selected"]), 0), record["n"], min(1.0, need))


def _noisy_accuracy(records: Sequence[Record]) -> float | None:
    """The share of right votes; None where an early end favours some of them."""
    if any(record.get("method", CohenPlan.name) != CohenPlan.name or not record["n"] for record in records):
        return None
    shares: list[float] = [record["counts"].get(str(record["label"]), 0) / record["n"] for record in records]
    return sum(shares) / len(shares)


def _acr_interval(correct: Sequence[float | None], largest_radius: float) -> Record:
    low, high = average_radius_interval(correct, largest=largest_radius, confidence=CONFIDENCE)
    return {"low": low, "high": high, "bound": "constant-bets"}


def acr_interval_of_0_1(records: Sequence[Record], largest_radius: float) -> Record:
    """The interval that 0.1 wrote, without the name of a bound: by bets in the order of the images."""
    correct = [record["radius"] if record["correct"] else None for record in records]
    low, high = average_radius_interval(
        correct, largest=largest_radius, confidence=CONFIDENCE, bound=MeanBetting(len(correct))
    )
    return {"low": low, "high": high}
