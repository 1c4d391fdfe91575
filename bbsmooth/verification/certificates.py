"""Certificates, one by one: what each says must follow from its counts and from the settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from bbsmooth.certification import ClopperPearson, CohenPlan, Reason
from bbsmooth.certification.bounds.vote_bounds import OneClass
from bbsmooth.certification.methods.cases import AnyPlan
from bbsmooth.certification.methods.splitting import SplittingPlan
from bbsmooth.errors import UsageError, one_line
from bbsmooth.noise import DISTRIBUTIONS, Norm, implied_radius
from bbsmooth.reporting.recall import grid_of
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.reading import Run
from bbsmooth.verification.asked import Asked
from bbsmooth.verification.outcomes import outcome_of

BROKEN = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError)
"""What reading a line that somebody changed may raise."""

_CLOSE = 1e-9
"""Relative difference that two versions of a mathematical library may have."""


def wrong_certificates(run: Run) -> Iterator[str]:
    """Problems of a run of `bbsmooth certify`: all that does not follow in it."""
    indices = [record["index"] for record in run.certificates or []]
    yield from _wrong_numbers(indices, Asked.of(run), complete=run.status == "done")
    yield from wrong_each(run)


def wrong_each(run: Run) -> Iterator[str]:
    """What does not follow in a line from its own counts."""
    asked = Asked.of(run)
    for record in run.certificates or []:
        yield from located(record, _wrong_certificate, asked.plan, run)


def wrong_lines(run: Run) -> Iterator[str]:
    """Contradictions within an imported log, which holds no counts."""
    settings, records = run.settings, run.certificates or []
    norm = DISTRIBUTIONS[settings["noise"]](settings["sigma"]).norm.value
    wanted = {
        "alpha": settings["alpha"],
        "sigma": settings["sigma"],
        "noise": settings["noise"],
        "n0": settings["num_selection"],
        "n": settings["num_estimation"],
        "norm": norm,
    }
    yield from _twice([record["index"] for record in records])
    for record in records:
        yield from located(record, _wrong_line, wanted)


def _wrong_numbers(indices: Sequence[Any], asked: Asked, *, complete: bool) -> Iterator[str]:
    yield from _twice(indices)
    there = {index for index in indices if type(index) is int}
    wanted = asked.images if complete else len(there) if asked.config.method == CohenPlan.name else 0
    for index in sorted(set(range(wanted)) - there):
        yield f"certificates.jsonl: image {index} has no certificate"


def _twice(indices: Sequence[Any]) -> Iterator[str]:
    seen: set[str] = set()
    for index in indices:
        if type(index) is not int or index < 0:
            yield f"certificates.jsonl: an index must be a number of at least 0, got {index!r}"
        elif repr(index) in seen:
            yield f"certificates.jsonl: image {index} has two certificates"
        seen.add(repr(index))


def said(error: Exception) -> str:
    """The reason why something is not what it should be: our own errors say it, others are named too."""
    return str(error) if isinstance(error, UsageError) else one_line(error)


def located(record: Record, check: Any, *known: Any) -> Iterator[str]:
    """Problems that a check finds in a line, with its place."""
    place = f"certificates.jsonl, image {record['index']}"
    try:
        for problem in check(record, *known):
            yield f"{place}: {problem}"
    except BROKEN as error:
        yield f"{place}: is not a certificate ({said(error)})"


def _wrong_line(record: Record, wanted: dict[str, Any]) -> Iterator[str]:
    yield from _other_than(record, wanted)
    yield from _wrong_label(record)
    if not (record["radius"] is None or 0 <= record["radius"] < math.inf):
        yield f"radius is {record['radius']}"


def _wrong_certificate(record: Record, plan: AnyPlan, run: Run) -> Iterator[str]:
    shape = run.manifest["data"]["image_shape"] or ()
    wanted = {
        "alpha": plan.alpha,
        "sigma": plan.noise.sigma,
        "noise": plan.noise.name,
        "norm": plan.noise.norm.value,
        "n0": plan.num_selection,
        "method": plan.name,
    }
    yield from _other_than(record, wanted | dict(plan.terms))
    yield from _wrong_label(record)
    yield from _wrong_counts(record, plan)
    yield from _wrong_norms(record, plan, math.prod(shape))
    if isinstance(plan, SplittingPlan):
        if record["total_variation"] != 0:
            yield f"total_variation is {record['total_variation']}, but splitting noise is not drawn"
    elif grid_of(run, plan.noise, math.prod(shape), record["total_variation"]) is None:
        size = "x".join(map(str, shape))
        yield f"total_variation is {record['total_variation']}, which no grid has for images of {size}"
    if not 0 <= record["seconds"] < math.inf:
        yield f"seconds is {record['seconds']}"
    if (record["reason"] is None) is record["abstained"]:
        yield f"abstained is {record['abstained']}, the reason {record['reason']!r}"
    if record["reason"] not in (None, Reason.UNPROVEN):
        if record["p_lower"] or not record["abstained"]:
            yield f"the reason is {record['reason']!r}, and yet something is proven"
    elif isinstance(plan, CohenPlan) and plan.bound == OneClass():
        yield from _wrong_bound(record, plan)
    elif not plan.follows(outcome_of(record)):
        yield "class, radius, bound and decisions do not follow from the counts"


def _other_than(record: Record, wanted: dict[str, Any]) -> Iterator[str]:
    for key, value in wanted.items():
        if record[key] != value:
            yield f"{key} is {record[key]!r}, the settings say {value!r}"


def _wrong_label(record: Record) -> Iterator[str]:
    abstained, predicted, label = record["abstained"], record["predicted"], record["label"]
    if (
        type(abstained) is not bool
        or abstained is not (predicted is None)
        or abstained is not (record["radius"] is None)
    ):
        yield f"abstained is {abstained}, predicted {predicted!r}, radius {record['radius']!r}"
    if not abstained and predicted != record["selected"]:
        yield f"predicted is {predicted!r}, selected {record['selected']!r}"
    correct = None if label is None else predicted == label
    if record["correct"] is not correct:
        yield f"correct is {record['correct']}, but the label is {label!r} and the prediction {predicted!r}"


def _wrong_counts(record: Record, plan: AnyPlan) -> Iterator[str]:
    votes = list(record["counts"].values())
    if not all(type(count) is int and count > 0 for count in votes):
        yield f"counts are no numbers of votes: {record['counts']}"
    if sum(votes) != record["n"]:
        yield f"counts add up to {sum(votes)}, n is {record['n']}"
    if not 0 <= record["n"] <= plan.max_estimation:
        yield f"n is {record['n']}, the settings allow {plan.max_estimation}"
    if not 0 <= record["selection_votes"] <= plan.num_selection:
        yield f"selection_votes is {record['selection_votes']} of {plan.num_selection}"
    if record["queries"] != record["n0"] + record["n"]:
        yield f"queries is {record['queries']}, n0 + n is {record['n0'] + record['n']}"


def _wrong_norms(record: Record, plan: AnyPlan, values: int) -> Iterator[str]:
    """Problems of a line's radius in other norms; it need not say anything."""
    radius, proven = record["radius"], plan.noise.norm
    for norm in Norm:
        key = f"radius_{norm.value}"
        wanted = None if radius is None else implied_radius(radius, proven, norm, values=values)
        if key in record and record[key] != wanted:
            yield f"{key} is {record[key]}, a radius of {radius} in {proven.value} gives {wanted}"


def _wrong_bound(record: Record, plan: CohenPlan) -> Iterator[str]:
    if record["n"] != plan.num_estimation:
        yield f"n is {record['n']}, the settings say {plan.num_estimation}"
    votes = record["counts"].get(str(record["selected"]), 0)
    p_lower = max(0.0, ClopperPearson().lower(votes, record["n"], alpha=plan.alpha) - record["total_variation"])
    if not _close(record["p_lower"], p_lower):
        yield f"p_lower is {record['p_lower']}, {votes} of {record['n']} votes give {p_lower}"
    if not _close(record["radius"] or 0.0, plan.noise.radius(p_lower)):
        yield f"radius is {record['radius']}, the votes prove {plan.noise.radius(p_lower)}"
    if record["abstained"] is (record["p_lower"] > 0.5):  # a radius of 0 is none by this method
        yield f"abstained is {record['abstained']}, p_lower is {record['p_lower']}"
    if record["details"] or record["decisions"]:
        yield "details and decisions are none of this bound's"


def _close(said: float, found: float) -> bool:
    return math.isclose(said, found, rel_tol=_CLOSE, abs_tol=_CLOSE**2)
