"""Summary and ledger of a run against its certificates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bbsmooth.assemble.incremental import worth
from bbsmooth.certification import CohenPlan, Reason
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.certification.methods.splitting import SplittingPlan
from bbsmooth.data import DataError
from bbsmooth.errors import UsageError
from bbsmooth.randomness import image_digest
from bbsmooth.reporting.lineage import seen_before
from bbsmooth.reporting.recall import images_of
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.reading import Run
from bbsmooth.runs.summary import acr_interval_of_0_1, summarize
from bbsmooth.runs.usage import usage_summary
from bbsmooth.settings.certify import ORACLE
from bbsmooth.verification.asked import Asked
from bbsmooth.verification.differing import differences
from bbsmooth.verification.ties import whole_and_alone
from oracles import Budget, SpecError
from oracles.budget import Spent
from oracles.ledger_file import CHECKSUM, checksum

_CLOSE = 1e-9


def wrong_summary(run: Run) -> Iterator[str]:
    """Problems of a summary: all that it says otherwise than the certificates."""
    records, summary = run.certificates or [], run.summary
    if summary is None:
        yield "summary.json is missing"
        return
    again = expected_summary(run, records, summary["seconds"])
    said = {key: summary.get(key) for key in again}
    for place, one, other in differences(said, json.loads(json.dumps(again))):
        yield f"summary.json: {place} is {one!r}, the certificates give {other!r}"
    for key in sorted(summary.keys() - again.keys() - {"labels", "seen_before", "usage"}):
        yield f"summary.json: {key} is no part of a summary"
    if not 0 <= summary["seconds"] < math.inf:
        yield f"summary.json: seconds is {summary['seconds']}"
    if (summary.get("labels") == ORACLE) is not (run.settings.get("labels") == ORACLE):
        yield f"summary.json: labels is {summary.get('labels')!r}, the settings say {run.settings.get('labels')!r}"
    if summary.get("seen_before") is False and seen_before(run):
        yield "summary.json: seen_before is False, but what was certified was made on the same images"
    if run.status == "done" and not again["complete"]:
        yield f"the run is done, but has {len(records)} of {again['images']} certificates"


def _wrong_usage(run: Run, said: Mapping[str, Any] | None) -> Iterator[str]:
    """Problems of the usage in a summary; of a run that is not done the ledger may know more."""
    if run.ledger is None or (said is None and run.status != "done"):
        return
    found = usage_summary(run.ledger).get("usage")
    if said is None or found is None:
        if said != found:
            yield f"summary.json: usage is {said}, the ledger gives {found}"
    elif run.status == "done":
        for place, one, other in differences(dict(said), found):
            yield f"summary.json: usage.{place} is {one!r}, the ledger gives {other!r}"
    elif said["images"] > found["images"] or said["requests"] > found["requests"]:
        yield f"summary.json: usage is {said}, the ledger gives {found}"


def expected_summary(run: Run, records: Sequence[Record], seconds: float) -> Record:
    """The summary that follows from the certificates of a run that took `seconds`."""
    if run.command == "import-log":
        return summarize(records, run.settings["radii"], images=len(records), seconds=seconds)
    asked = Asked.of(run)
    images = max([asked.images, *(record["index"] + 1 for record in records)])
    found = summarize(
        records,
        asked.config.radii,
        images=images,
        seconds=seconds,
        largest_radius=asked.plan.largest_radius,
        family_wise=asked.config.joint,
        discovery=asked.config.discovery,
    )
    around = (run.summary or {}).get("acr_interval")
    if found["acr_interval"] and asked.plan.largest_radius and around and "bound" not in around:
        found["acr_interval"] = acr_interval_of_0_1(records, asked.plan.largest_radius)
    return found | ({"incremental": worth(records, asked.plan)} if isinstance(asked.plan, IncrementalPlan) else {})


def wrong_ledger(run: Run) -> Iterator[str]:
    """Problems of a ledger: all that it says otherwise than its own sums and the recorded answers."""
    ledger = run.ledger
    if ledger is None:
        yield "ledger.json is missing"
        return
    total, price, batched = sum(ledger["spent"].values()), ledger["price_per_1000"], ledger.get("batched", 0)
    try:
        budget, spent = Budget.from_json(ledger), Spent.from_json(ledger)
    except (ValueError, SpecError) as error:
        yield f"ledger.json: {error}"
        return
    cost, billed = float(budget.cost(spent)), budget.billed(spent)
    if ledger["spent_total"] != total:
        yield f"ledger.json: spent_total is {ledger['spent_total']}, the purposes add up to {total}"
    if batched > total:
        yield f"ledger.json: {batched} queries were answered by batch, {total} in all"
    if not math.isclose(ledger["price"], cost, rel_tol=_CLOSE):
        yield f"ledger.json: price is {ledger['price']}, {total} queries at {price} cost {cost}"
    if billed is not None and not math.isclose(ledger.get("billed", -1), float(billed), rel_tol=_CLOSE):
        yield f"ledger.json: billed is {ledger.get('billed')}, its tokens, images and requests cost {float(billed)}"
    if (
        billed is not None
        and max(spent.usage.alone.answers - (total - batched), spent.usage.batched.answers - batched) > 0
    ):
        yield f"ledger.json: {spent.usage.total.answers} answers tell their tokens, {total} queries were sent"
    limits = {**run.settings, **run.manifest.get("raised", {})}
    for key, setting in (("queries", "budget"), ("money", "max_price")):
        if ledger["budget"][key] != limits[setting]:
            found, wanted = ledger["budget"][key], limits[setting]
            yield f"ledger.json: the budget in {key} is {found}, the manifest says {wanted}"
    limit = ledger["budget"]["queries"]
    if limit is not None and ledger["left"] is not None and ledger["left"] > max(0, limit - total):
        yield f"ledger.json: {ledger['left']} queries are left, {total} of {limit} are spent"
    if limit is not None and total > limit and not ledger.get("reserved") and not run.manifest["resumed"]:
        yield f"ledger.json: {total} queries are spent under a budget of {limit}"
    if ledger.get(CHECKSUM) not in (None, checksum(ledger)):
        yield f"ledger.json: its checksum is {ledger[CHECKSUM]}, its entries give {checksum(ledger)}"
    if run.summary is not None:
        yield from _wrong_usage(run, dict[str, Any](run.summary).get("usage"))
    yield from _uncovered(run, ledger["spent"])


def _uncovered(run: Run, spent: Mapping[str, int]) -> Iterator[str]:
    """Recorded answers that were not paid for. Equal images share their draws, so each different one counts once.

    Nothing is said of a run that took answers of an earlier one: they were paid for there.
    """
    records = run.certificates or []
    answers = sum(record["queries"] for record in records)
    paid = spent["select"] + spent["estimate"]
    if run.manifest.get("reused"):
        return
    fixed = run.settings.get("method", CohenPlan.name) in (CohenPlan.name, SplittingPlan.name)
    refused = any(record["reason"] == Reason.REFUSED for record in records)
    if run.command == "certify" and fixed and paid > answers and not refused and whole_and_alone(run):
        yield f"ledger.json: {paid} queries were spent on votes, the certificates rest on {answers}"
    if paid < answers and paid < sum(record["queries"] for record in _different_images(run, records)):
        yield f"ledger.json: {paid} queries were spent on votes, the certificates rest on {answers}"


def _different_images(run: Run, records: Sequence[Record]) -> Sequence[Record]:
    """One record for each different image; all where the images are not at hand."""
    try:
        images = images_of(run)
    except (DataError, UsageError, OSError):
        return records
    return list({image_digest(images.image(record["index"])): record for record in records}.values())
