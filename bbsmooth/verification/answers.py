"""Predictions and tuning: what their files say must agree."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bbsmooth.certification import Reason
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.history import judged_accuracies
from bbsmooth.runs.reading import Run

_CLOSE = 1e-9


def wrong_predictions(run: Run) -> Iterator[str]:
    """Problems of predictions: all that does not follow from the votes."""
    files = run.settings["files"]
    predictions = run.predictions or []
    if [entry["file"] for entry in predictions] != files[: len(predictions)]:
        yield "predictions.json: the files are not those of the manifest"
    if run.status == "done" and len(predictions) != len(files):
        yield f"predictions.json: {len(predictions)} of {len(files)} files"
    for entry in predictions:
        for problem in _wrong_prediction(entry, run):
            yield f"predictions.json, {entry['file']}: {problem}"


def _wrong_prediction(entry: Record, run: Run) -> Iterator[str]:
    from scipy.stats import binomtest  # takes a second to import

    if entry["alpha"] != run.settings["alpha"]:
        yield f"alpha is {entry['alpha']}, the manifest says {run.settings['alpha']}"
    if entry["reason"] == Reason.REFUSED:
        if entry["counts"] or not entry["abstained"] or entry["predicted"] is not None:
            yield "the reason is 'refused', and yet there are votes or a prediction"
        return
    votes = sorted(entry["counts"].values(), reverse=True)
    if sum(votes) != run.settings["n"]:
        yield f"counts add up to {sum(votes)}, n is {run.settings['n']}"
    p_value = float(binomtest(votes[0], sum(votes[:2]), 0.5).pvalue)
    if not math.isclose(entry["p_value"], p_value, rel_tol=_CLOSE):
        yield f"p_value is {entry['p_value']}, the votes give {p_value}"
    abstains = p_value > entry["alpha"] or entry["reason"] == Reason.NO_ANSWER
    if entry["abstained"] is not abstains or entry["abstained"] is not (entry["predicted"] is None):
        yield f"abstained is {entry['abstained']}, the votes give {abstains}"
    if entry["abstained"] is (entry["reason"] is None):
        yield f"abstained is {entry['abstained']}, the reason {entry['reason']!r}"
    if not entry["abstained"] and entry["counts"].get(str(entry["predicted"])) != votes[0]:
        yield f"predicted is {entry['predicted']!r}, which has not the most votes"


def wrong_tuning(run: Run) -> Iterator[str]:
    """Problems of a summary: all that it says otherwise than the history."""
    history, summary = run.history or [], run.summary or {}
    queries = [event["queries"] for event in history]
    if queries != sorted(queries):
        yield "history.jsonl: the queries do not grow"
    judged = judged_accuracies(history)
    if "steps" not in summary:
        return
    for key, found in (
        ("queries", queries[-1] if queries else None),
        ("heldout_accuracy_start", judged.get(0)),
        ("heldout_accuracy_best", judged.get(summary["best_step"])),
    ):
        if summary[key] != found:
            yield f"summary.json: {key} is {summary[key]}, the history says {found}"
    yield from _wrong_shares(run)
    if run.ledger is not None and queries and run.ledger["spent"]["tune"] < queries[-1]:
        yield f"ledger.json: {run.ledger['spent']['tune']} queries were spent, the history counts {queries[-1]}"


def _wrong_shares(run: Run) -> Iterator[str]:
    """Certified shares of a summary that are not those of the last judgement of the history."""
    summary = run.summary or {}
    if "judged_radius" not in summary:
        return
    told = [event for event in run.history or [] if "heldout_certified" in event]
    tested = [event for event in told if "heldout_certified_start" in event]
    if not told:
        yield "history.jsonl: no certified share was judged, summary.json has one"
        return
    start = tested[-1]["heldout_certified_start"] if tested else told[0]["heldout_certified"]
    best = tested[-1]["heldout_certified"] if tested and summary["best_step"] else start
    for key, found in (("heldout_certified_start", start), ("heldout_certified_best", best)):
        if summary[key] != found:
            yield f"summary.json: {key} is {summary[key]}, the history says {found}"
