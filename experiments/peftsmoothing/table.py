"""One row a method, from its runs: mean and spread over seeds, as JSON, and that JSON as Markdown, TeX and HTML."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bbsmooth.certification import average_certified_radius, certified_accuracy
from bbsmooth.records import CONFIDENCE, read_certificates, read_summary
from bbsmooth.reporting.exports import to_markdown, to_tex
from bbsmooth.reporting.model import EMPTY, Cell, Column, Document, Section, Table
from bbsmooth.reporting.numbers import interval, percent
from bbsmooth.reporting.page import page
from experiments.peftsmoothing.study import Job, Study

Record = dict[str, Any]


def collect(study: Study, jobs: Sequence[Job]) -> Record:
    """Everything that the tables say."""
    groups: dict[tuple[str, float], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.row, job.sigma), []).append(job)
    return {
        "study": study.name,
        "title": study.title,
        "scale": dict(study.scale),
        "confidence": CONFIDENCE,
        "rows": [_row(name, sigma, of_row, study) for (name, sigma), of_row in groups.items()],
    }


def _row(name: str, sigma: float, jobs: Sequence[Job], study: Study) -> Record:
    folders = [dict((out.name, out) for _, out in job.steps) for job in jobs]
    records = [read_certificates(folder["certify"]) for folder in folders]
    radii = [[record["radius"] if record["correct"] else None for record in one] for one in records]
    trained = [read_summary(folder["train"]) for folder in folders if "train" in folder]
    attacked = [read_summary(folder["attack"]) for folder in folders if "attack" in folder]
    ledgers = [json.loads((out / "ledger.json").read_text()) for folder in folders for out in _tuned(folder)]
    return {
        "name": name,
        "sigma": sigma,
        "seeds": len(jobs),
        "images": len(radii[0]),
        "trained_parameters": trained[0]["parameters"]["trained"] if trained else 0,
        "share_of_parameters": trained[0]["parameters"]["share"] if trained else 0.0,
        "oracle_queries": _mean(ledger["spent_total"] for ledger in ledgers) if ledgers else 0,
        "training_seconds": _mean(one["seconds_per_epoch"] * one["epochs"] for one in trained) if trained else 0.0,
        "clean_accuracy": _mean(one["clean_accuracy"] for one in trained) if trained else None,
        "noisy_accuracy": _mean(read_summary(folder["certify"])["noisy_accuracy"] for folder in folders),
        "certified": [_certified(radii, radius) for radius in study.scale["radii"]],
        "acr": _spread(average_certified_radius(one) for one in radii),
        "empirical": _empirical(attacked),
        "empirical_radii": list(study.scale.get("attack_radii", ())),
        "contradictions": sum(len(one["contradictions"]) for one in attacked),
    }


def _tuned(folder: dict[str, Path]) -> Iterable[Path]:
    return [folder["tune"]] if "tune" in folder else []


def _certified(radii: Sequence[Sequence[float | None]], radius: float) -> Record:
    """Over seeds the mean and spread of certified accuracy; its interval is that of the first seed's images."""
    shares = [certified_accuracy(one, radius, confidence=CONFIDENCE) for one in radii]
    return {"radius": radius, **_spread(share.value for share in shares), "low": shares[0].low, "high": shares[0].high}


def _empirical(attacked: Sequence[Record]) -> list[Record]:
    if not attacked:
        return []
    return [
        {"radius": row["radius"], "mean": _mean(one["accuracy"][place]["empirical"]["value"] for one in attacked)}
        for place, row in enumerate(attacked[0]["accuracy"])
    ]


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _spread(values: Iterable[float]) -> Record:
    found = list(values)
    return {"mean": _mean(found), "deviation": statistics.stdev(found) if len(found) > 1 else None}


def write_tables(path: Path) -> None:
    """Write the table of a result in three forms beside it."""
    report = document(json.loads(path.read_text()))
    path.with_suffix(".md").write_text(to_markdown(report))
    path.with_suffix(".tex").write_text(to_tex(report))
    path.with_suffix(".html").write_bytes(page(report))


def document(result: Record) -> Document:
    """The result as a report with one table."""
    scale, rows = result["scale"], result["rows"]
    lead = (
        f"{scale['model']} on {rows[0]['images']} images of {scale['data']}, {scale['n']:,} votes an image; mean over "
        f"{rows[0]['seeds']} seeds, ± their spread, and the {100 * result['confidence']:.0f} % interval over images."
    )
    table = Table("methods", result["title"], tuple(_columns(rows[0])), tuple(tuple(_cells(row)) for row in rows), True)
    return Document(result["title"], lead, (), (Section("methods", "Results", tables=(table,)),))


def _columns(row: Record) -> Iterator[Column]:
    yield Column("sigma", "sigma")
    yield Column("method", "method", numeric=False)
    yield Column("trained_parameters", "trained parameters")
    yield Column("oracle_queries", "oracle queries")
    yield Column("training_seconds", "training, s")
    yield Column("clean_accuracy", "clean")
    yield Column("noisy_accuracy", "noisy")
    for one in row["certified"]:
        yield Column(f"certified_{one['radius']:g}", f"r = {one['radius']:g}", interval=True)
    yield Column("acr", "ACR")
    for radius in row["empirical_radii"]:
        yield Column(f"empirical_{radius:g}", f"attacked, r = {radius:g}")


def _cells(row: Record) -> Iterator[Cell]:
    yield Cell(f"{row['sigma']:g}", row["sigma"])
    yield Cell(row["name"], row["name"])
    share = f" ({percent(row['share_of_parameters'])})" if row["trained_parameters"] else ""
    yield Cell(f"{row['trained_parameters']:,}{share}", row["trained_parameters"])
    yield Cell(f"{row['oracle_queries']:,.0f}", row["oracle_queries"])
    yield Cell(f"{row['training_seconds']:,.0f}", row["training_seconds"])
    yield EMPTY if row["clean_accuracy"] is None else Cell(percent(row["clean_accuracy"]), row["clean_accuracy"])
    yield Cell(percent(row["noisy_accuracy"]), row["noisy_accuracy"])
    for one in row["certified"]:
        spread = "" if one["deviation"] is None else f" ± {100 * one['deviation']:.1f}"
        text = f"{percent(one['mean'])}{spread} ({interval(one['low'], one['high'])})"
        yield Cell(text, one["mean"], one["low"], one["high"])
    yield Cell(f"{row['acr']['mean']:.3f}", row["acr"]["mean"])
    found = {one["radius"]: one["mean"] for one in row["empirical"]}
    for radius in row["empirical_radii"]:
        yield Cell(percent(found[radius]), found[radius]) if radius in found else EMPTY
