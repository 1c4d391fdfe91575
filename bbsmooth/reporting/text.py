"""A run in a few lines for a terminal, and as the field's log."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from bbsmooth.reporting.acceptance import answer_sentence, claims_table
from bbsmooth.reporting.escaping import one_line
from bbsmooth.reporting.numbers import count, duration, interval, length, money, percent
from bbsmooth.reporting.scope import told, was_tuned
from bbsmooth.reporting.words import proven_word, sigma_words
from bbsmooth.runs.certificates import Record, read_certificates
from bbsmooth.runs.issuing import read_issued
from bbsmooth.runs.reading import Run
from bbsmooth.runs.tsv_log import classic_log

WIDTH = 100


def run_log(path: Path) -> str:
    """The classic log of a run's certificates, see `classic_log`.

    Raises:
        UsageError: `path` is not a run directory, or holds no certificates.
    """
    found = read_issued(path).certificates
    return classic_log(read_certificates(path) if found is None else found)


def run_text(path: Path) -> str:
    """Findings of a run, for people.

    Raises:
        UsageError: `path` is not a run directory, or a file in it cannot be read.
    """
    return text_of(read_issued(path))


def text_of(run: Run) -> str:
    """The same of a run that is read already."""
    parts: list[RenderableType] = [_head(run)]
    if run.summary is not None:
        describe = _TABLES.get(run.command)
        parts += describe(run.settings, run.summary) if describe else []
    if run.predictions:
        parts.append(_predictions_table(run.predictions))
    if run.ledger is not None:
        parts.append(ledger_line(run.ledger))
    return render(parts)


def ledger_line(ledger: Record) -> str:
    """Line that says what was spent, on what, and what is left."""
    spent = ", ".join(f"{purpose} {queries:,}" for purpose, queries in ledger["spent"].items() if queries)
    line = f"queries spent: {ledger['spent_total']:,}{f' ({spent})' if spent else ''}"
    if ledger.get("batched"):
        line += f", {ledger['batched']:,} of them by batch"
    if ledger["left"] is not None:
        line += f", {ledger['left']:,} left"
    if "billed" in ledger:
        line += f"; billed {money(ledger['billed'])}, at most {money(ledger['price'])}"
    elif ledger["price_per_1000"]:
        line += f"; price {money(ledger['price'])}"
    if usage := ledger.get("usage"):
        line += f"; {usage['input_tokens']:,} tokens read, {usage['output_tokens']:,} written"
        if cached := usage.get("cached_tokens"):
            line += f", {cached:,} of those read from a cache"
        if lost := usage.get("without_answer"):
            line += f", {lost['input_tokens']:,} and {lost['output_tokens']:,} of them without an answer"
    return line


def render(parts: list[RenderableType], width: int = WIDTH) -> str:
    """Parts below each other, without colours and without anything that steers a terminal."""
    console = Console(
        file=io.StringIO(),
        width=width,
        no_color=True,
        highlight=False,
        markup=False,
        emoji=False,
        force_jupyter=False,  # it would show the text in a notebook, and leave none to return
    )
    for part in parts:
        console.print(part)
        console.print()
    text = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above
    return "\n".join(one_line(line).rstrip() for line in text.split("\n")).strip()


def _head(run: Run) -> Table:
    settings = run.settings
    head = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    head.add_row("run", f"{run.place} ({run.command}, {run.status})")
    for key in ("oracle", "data", "log"):
        if key in settings:
            head.add_row(key, str(settings[key]))
    if "noise" in settings:
        head.add_row("noise", f"{settings['noise']}, sigma {sigma_words(run)}")
    if settings.get("coordinator"):
        head.add_row("coordinator", str(settings["coordinator"]))
    return head


def _certify_tables(settings: dict[str, Any], summary: Record) -> list[RenderableType]:
    of = "" if summary["complete"] else f"{summary['certificates']:,} of "
    line = f"{of}{count(summary['images'], 'image')}, {count(summary['abstained'], 'abstention')}"
    together = "in all" if settings.get("family_wise") else "each"
    line += ", alpha not stated" if settings["alpha"] is None else f", alpha {settings['alpha']:g} {together}"
    if (joint := summary.get("false_discovery")) is not None:
        line += f", false discovery rate {joint['rate']:g} ({'' if joint['issued'] else 'not '}issued: "
        line += f"{joint['certified']:,} certified, {joint['needed']:,} needed)"
    if summary["acr"] is not None:
        line += f", ACR {length(summary['acr'])}"
    curve = told(summary)
    if not curve:
        return [line]
    level = f"{100 * summary['confidence']:g} % interval"
    table = Table("radius", proven_word(summary), level, box=None, padding=(0, 3, 0, 0))
    for row in curve:
        around = "none: images are missing" if row["low"] is None else interval(row["low"], row["high"])
        table.add_row(f"{row['radius']:g}", percent(row["value"]), around)
    return [line, table]


def _plan_tables(settings: dict[str, Any], summary: Record) -> list[RenderableType]:
    rows = summary.get("sigmas")
    if not rows:
        return []
    radius = rows[0]["certified"]["radius"]
    level = f"{100 * summary['confidence']:g} % interval"
    table = Table(
        "sigma", "images", f"right and certified at {radius:g}", level, "queries", box=None, padding=(0, 3, 0, 0)
    )
    for row in rows:
        share = row["certified"]
        around = interval(share["low"], share["high"])
        queries = f"{row['queries']['expected']:,.0f}"
        table.add_row(f"{row['sigma']:g}", str(row["images"]), percent(share["expected"]), around, queries)
    return [f"expected of {count(summary['images'], 'image')}, by sigma", table]


def _taught(summary: Record) -> str:
    """What a surrogate taught the denoiser, if one did."""
    told = (summary.get("pretraining") or {}).get("stability")
    if not told:
        return ""
    before, after = (percent(told[name]) for name in ("agreement_start", "agreement"))
    said = f"its answers to clean images kept under noise {before} before, {after} after"
    return f"surrogate {told['surrogate']}, {count(told['steps'], 'step')}: {said}, no query"


def _tune_tables(settings: dict[str, Any], summary: Record) -> list[RenderableType]:
    taught = [line] if (line := _taught(summary)) else []
    if not was_tuned(summary):
        pretraining = summary.get("pretraining")
        epochs = f", {count(pretraining['epochs'], 'epoch')}" if pretraining else ""
        return [f"denoising pre-training only{epochs}: no query", *taught]
    table = Table("held-out noisy accuracy", "value", box=None, padding=(0, 3, 0, 0))
    table.add_row("before tuning", percent(summary["heldout_accuracy_start"]))
    table.add_row("after tuning", percent(summary["heldout_accuracy_best"]))
    told: list[RenderableType] = [*taught, f"method {summary['method']}, {count(summary['steps'], 'step')}", table]
    if "judged_radius" in summary:
        shares = Table(f"certified at {summary['judged_radius']:g}", "share", box=None, padding=(0, 3, 0, 0))
        shares.add_row("start", percent(summary["heldout_certified_start"]))
        shares.add_row("kept", percent(summary["heldout_certified_best"]))
        told += [shares, summary["verdict"]]
    return told


def _train_tables(settings: dict[str, Any], summary: Record) -> list[RenderableType]:
    parameters = summary["parameters"]
    table = Table("accuracy", "value", box=None, padding=(0, 3, 0, 0))
    table.add_row("clean", percent(summary["clean_accuracy"]))
    table.add_row("under noise", percent(summary["noisy_accuracy"]))
    trained = f"{parameters['trained']:,} of {parameters['all']:,} parameters ({percent(parameters['share'])})"
    epochs = f"{count(summary['epochs'], 'epoch')} of {duration(summary['seconds_per_epoch'])}"
    return [f"method {summary['method']}, {trained}, {epochs}", table]


def _attack_tables(settings: dict[str, Any], summary: Record) -> list[RenderableType]:
    table = Table("radius", "certified", "under attack", box=None, padding=(0, 3, 0, 0))
    for row in summary["accuracy"]:
        table.add_row(f"{row['radius']:g}", percent(row["certified"]["value"]), percent(row["empirical"]["value"]))
    found = summary["contradictions"]
    alarm = f"ALARM: images {found} were turned inside their radius" if found else "no certificate was contradicted"
    return [f"method {summary['method']}, {count(summary['images'], 'image')}, {alarm}", table]


def _accept_tables(settings: dict[str, Any], summary: Record) -> list[RenderableType]:
    found = claims_table(summary)
    table = Table(*(column.title for column in found.columns), box=None, padding=(0, 3, 0, 0))
    for row in found.rows:
        table.add_row(*(cell.text for cell in row))
    return [table, answer_sentence(settings, summary)]


_TABLES = {
    "certify": _certify_tables,
    "accept": _accept_tables,
    "import-log": _certify_tables,
    "tune": _tune_tables,
    "plan": _plan_tables,
    "train": _train_tables,
    "attack": _attack_tables,
}


def _predictions_table(predictions: list[Record]) -> RenderableType:
    table = Table("file", "prediction", "p-value", box=None, padding=(0, 3, 0, 0))
    for entry in predictions:
        answer = "abstains" if entry["abstained"] else entry["name"]
        table.add_row(entry["file"], answer, f"{entry['p_value']:.2g}")
    return table
