"""Summary and ledger of a run against its certificates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence

from bbsmooth.assemble.incremental import worth
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.data import DataError
from bbsmooth.errors import UsageError
from bbsmooth.randomness import image_digest
from bbsmooth.reporting.recall import images_of
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.reading import Run
from bbsmooth.runs.summary import summarize
from bbsmooth.settings.certify import ORACLE
from bbsmooth.verification.asked import Asked
from bbsmooth.verification.differing import differences

_CLOSE = 1e-9


def wrong_summary(run: Run) -> Iterator[str]:
    """What a summary says otherwise than the certificates."""
    records, summary = run.certificates or [], run.summary
    if summary is None:
        yield "summary.json is missing"
        return
    again = _again(run, records, summary["seconds"])
    said = {key: summary.get(key) for key in again}
    for place, one, other in differences(said, json.loads(json.dumps(again))):
        yield f"summary.json: {place} is {one!r}, the certificates give {other!r}"
    for key in sorted(summary.keys() - again.keys() - {"labels"}):
        yield f"summary.json: {key} is no part of a summary"
    if not 0 <= summary["seconds"] < math.inf:
        yield f"summary.json: seconds is {summary['seconds']}"
    if (summary.get("labels") == ORACLE) is not (run.settings.get("labels") == ORACLE):
        yield f"summary.json: labels is {summary.get('labels')!r}, the settings say {run.settings.get('labels')!r}"
    if run.status == "done" and not again["complete"]:
        yield f"the run is done, but has {len(records)} of {again['images']} certificates"


def _again(run: Run, records: Sequence[Record], seconds: float) -> Record:
    """The summary that follows from the certificates."""
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
    )
    return found | ({"incremental": worth(records, asked.plan)} if isinstance(asked.plan, IncrementalPlan) else {})


def wrong_ledger(run: Run) -> Iterator[str]:
    """What a ledger says otherwise than its own sums and the recorded answers."""
    ledger = run.ledger
    if ledger is None:
        yield "ledger.json is missing"
        return
    total, price = sum(ledger["spent"].values()), ledger["price_per_1000"]
    if ledger["spent_total"] != total:
        yield f"ledger.json: spent_total is {ledger['spent_total']}, the purposes add up to {total}"
    if not math.isclose(ledger["price"], total * (price or 0.0) / 1000, rel_tol=_CLOSE):
        yield f"ledger.json: price is {ledger['price']}, {total} queries at {price} cost {total * (price or 0) / 1000}"
    for key, setting in (("queries", "budget"), ("money", "max_price")):
        if ledger["budget"][key] != run.settings[setting]:
            found, wanted = ledger["budget"][key], run.settings[setting]
            yield f"ledger.json: the budget in {key} is {found}, the manifest says {wanted}"
    limit = ledger["budget"]["queries"]
    if limit is not None and ledger["left"] is not None and ledger["left"] > max(0, limit - total):
        yield f"ledger.json: {ledger['left']} queries are left, {total} of {limit} are spent"
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
    if paid < answers and paid < sum(record["queries"] for record in _different_images(run, records)):
        yield f"ledger.json: {paid} queries were spent on votes, the certificates rest on {answers}"


def _different_images(run: Run, records: Sequence[Record]) -> Sequence[Record]:
    """One record for each different image; all where the images are not at hand."""
    try:
        images = images_of(run)
    except (DataError, UsageError, OSError):
        return records
    return list({image_digest(images.image(record["index"])): record for record in records}.values())
