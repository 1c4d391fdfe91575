"""One record a row of a study, from its runs: mean and spread over seeds, and differences image by image."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bbsmooth.certification import average_certified_radius
from bbsmooth.certification.accuracy import share
from bbsmooth.coordinator.denoisers.opening import is_denoiser
from bbsmooth.runs.certificates import CONFIDENCE, read_certificates, read_summary
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.layout import HISTORY
from experiments.peftsmoothing.judging import judged
from experiments.peftsmoothing.running import MEASURED
from experiments.peftsmoothing.study import Job, Study

Record = dict[str, Any]
Radii = Sequence[float | None]


def collect(study: Study, jobs: Iterable[Job]) -> Record:
    """Everything that the tables say of the jobs that are done; those that differ only in their seed make a row."""
    cells: dict[tuple[str, float], list[Job]] = {}
    for job in jobs:
        cells.setdefault((job.row, job.sigma), []).append(job)
    references = {sigma: of_row for (name, sigma), of_row in cells.items() if name == study.reference}
    return {
        "study": study.name,
        "title": study.title,
        "columns": list(study.columns),
        "reference": study.reference,
        "scale": dict(study.scale),
        "confidence": CONFIDENCE,
        "rows": [_row(of_row, study, references.get(sigma)) for (_, sigma), of_row in cells.items()],
    }


def with_earlier(study: Study, found: Record, earlier: Record | None) -> Record:
    """The result with the rows of an earlier one whose runs are not here: they were made elsewhere, or cleared away.

    Where both have a row, that of more seeds stays, of as many the new one. A difference from other seeds of the
    reference than those in the result is left out.

    Args:
        study: says in which order rows stand.
        found: what is done here.
        earlier: the result that is there, None for none; see `same_settings`.
    """
    if earlier is None:
        return found
    rows = {(row["name"], row["sigma"]): row for row in earlier["rows"]}
    for row in found["rows"]:
        before = rows.get((row["name"], row["sigma"]))
        if before is None or len(row["seeds"]) >= len(before["seeds"]):
            rows[row["name"], row["sigma"]] = row
    then, now = (_seeds_of_reference(study, each) for each in (earlier["rows"], rows.values()))
    order = [row.name for row in study.rows]
    kept = [_compared(row, then, now) for row in rows.values() if row["name"] in order]
    return found | {"rows": sorted(kept, key=lambda row: (order.index(row["name"]), row["sigma"]))}


def _seeds_of_reference(study: Study, rows: Iterable[Record]) -> Mapping[float, list[int]]:
    """By sigma."""
    return {row["sigma"]: row["seeds"] for row in rows if row["name"] == study.reference}


def _compared(row: Record, then: Mapping[float, list[int]], now: Mapping[float, list[int]]) -> Record:
    """The row, without a difference from other seeds of the reference than `now`; those of `then` if it names none."""
    difference = row.get("difference", {})
    if difference.get("seeds", then.get(row["sigma"])) == now.get(row["sigma"]):
        return row
    return {key: value for key, value in row.items() if key != "difference"}


def same_settings(study: Study, earlier: Record) -> bool:
    """True if rows of an earlier result can stand in one table with those of the study."""
    return (earlier["study"], earlier["scale"]) == (study.name, json.loads(json.dumps(dict(study.scale))))


def _row(jobs: Sequence[Job], study: Study, reference: Sequence[Job] | None) -> Record:
    trained = [read_summary(job.folders["train"]) for job in jobs if "train" in job.folders]
    tuned = [job.folders["tune"] for job in jobs if "tune" in job.folders]
    found = [judged(job) for job in jobs]
    row = {
        "name": jobs[0].row,
        "sigma": jobs[0].sigma,
        "seeds": [job.seed for job in jobs],
        "trained_parameters": trained[0]["parameters"]["trained"] if trained else 0,
        "share_of_parameters": trained[0]["parameters"]["share"] if trained else 0.0,
        "oracle_queries": _mean([_spent(folder / "ledger.json") for folder in tuned]) if tuned else 0,
        "training_seconds": _mean(_training_seconds(job) for job in jobs),
        "clean_accuracy": _spread(one["clean"] for one in found),
        "noisy_accuracy": _spread(one["noisy"] for one in found),
    }
    if "certify" in jobs[0].folders:
        row |= _certified_part(jobs, study)
    if reference is not None and reference is not jobs:
        row["difference"] = _differences(jobs, reference, study)
    return row


def _certified_part(jobs: Sequence[Job], study: Study) -> Record:
    folders = [job.folders["certify"] for job in jobs]
    summaries = [read_summary(folder) for folder in folders]
    measured = [json.loads((folder / MEASURED).read_text()) for folder in folders]
    radii = [_right_radii(job) for job in jobs]
    attacked = [read_summary(job.folders["attack"]) for job in jobs if "attack" in job.folders]
    return {
        "images": len(radii[0]),
        "certified": [_certified(radii, radius) for radius in study.scale["radii"]],
        "acr": _spread(average_certified_radius(one) for one in radii),
        "attacked": [_attacked(attacked, place) for place in range(len(attacked[0]["accuracy"]))] if attacked else [],
        "contradictions": sum(len(one["contradictions"]) for one in attacked),
        "queries_per_image": _mean(one["queries"] / one["images"] for one in summaries),
        "seconds_per_image": _mean(one["seconds"] / one["images"] for one in summaries),
        "peak_memory_bytes": max(one["peak_memory_bytes"] for one in measured),
    }


def _right_radii(job: Job) -> Radii:
    """The radius of each image, None where its class is wrong or the certifier abstained."""
    records = read_certificates(job.folders["certify"])
    return [record["radius"] if record["correct"] else None for record in records]


def _certified(radii: Sequence[Radii], radius: float) -> Record:
    """Mean and spread over seeds; the interval is over images, for as many right ones as the mean over seeds says."""
    shares = [_mean(_held(one, radius)) for one in radii]
    images = len(radii[0])
    around = share(round(_mean(shares) * images), images, confidence=CONFIDENCE)
    return {"radius": radius, **_spread(shares), "low": around.low, "high": around.high}


def _held(radii: Radii, radius: float) -> list[bool]:
    return [own is not None and own >= radius for own in radii]


def _attacked(attacked: Sequence[Record], place: int) -> Record:
    """Empirical accuracy at a radius, and certified accuracy on the very images that were attacked."""
    rows = [one["accuracy"][place] for one in attacked]
    return {
        "radius": rows[0]["radius"],
        "images": attacked[0]["images"],
        "empirical": _mean(row["empirical"]["value"] for row in rows),
        "certified": _mean(row["certified"]["value"] for row in rows),
    }


def _differences(jobs: Sequence[Job], reference: Sequence[Job], study: Study) -> Record:
    """What the row has more than the reference, in shares of images that both were asked about under the same noise."""
    own, other = ([judged(job)["by_image"] for job in both] for both in (jobs, reference))
    found = {"seeds": [job.seed for job in reference], "noisy_accuracy": _paired(own, other)}
    if "certify" not in jobs[0].folders:
        return found
    radii, beside = ([_right_radii(job) for job in both] for both in (jobs, reference))
    certified = [
        {"radius": radius} | _paired([_held(one, radius) for one in radii], [_held(one, radius) for one in beside])
        for radius in study.scale["radii"]
    ]
    return found | {"certified": certified}


def _paired(own: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> Record:
    """Mean over images of the difference of two means over seeds, with its standard error over images."""
    pairs = zip(zip(*own, strict=True), zip(*other, strict=True), strict=True)
    differences = [_mean(first) - _mean(second) for first, second in pairs]
    return {"mean": _mean(differences), "error": statistics.stdev(differences) / math.sqrt(len(differences))}


def _spent(ledger: Path) -> int:
    spent: int = json.loads(ledger.read_text())["spent_total"]
    return spent


def _training_seconds(job: Job) -> float:
    """Wall time of gradients and of tuning, pre-training of its start included, without what programs take to start.

    Training counts as its epochs times the fastest of them, since other programs may have kept the machine busy.
    """
    seconds = 0.0
    for name, folder in job.folders.items():
        if name in ("first", "train"):
            epochs = [json.loads(line)["seconds"] for line in (folder / HISTORY).read_text().splitlines()]
            seconds += len(epochs) * min(epochs)
        elif name == "tune":
            start = read_manifest(folder)["settings"]["coordinator"]
            runs = [folder, *([Path(start)] if start and not is_denoiser(start) else [])]
            seconds += sum(read_summary(run)["seconds"] for run in runs)
    return seconds


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _spread(values: Iterable[float]) -> Record:
    found = list(values)
    return {"mean": _mean(found), "deviation": statistics.stdev(found) if len(found) > 1 else None}
