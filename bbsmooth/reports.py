"""What a run found, as text and as one JSON object."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from bbsmooth.errors import UsageError
from bbsmooth.records import PREDICTIONS, SUMMARY, Record, classic_log, read_certificates, read_summary
from bbsmooth.runs import Status, in_use, read_manifest

LEDGER = "ledger.json"
WIDTH = 100


def run_json(run: Path) -> Record:
    """Command, status, settings, summary and ledger of a run as one JSON object.

    Raises:
        UsageError: `run` is not a run directory, or a file in it cannot be read.
    """
    manifest = read_manifest(run)
    dead = manifest["status"] == Status.RUNNING and not in_use(run)
    return {
        "run": str(run),
        "command": manifest["command"],
        "status": "killed" if dead else manifest["status"],
        "settings": manifest["settings"],
        "summary": read_summary(run) if (run / SUMMARY).exists() else None,
        "predictions": _read(run / PREDICTIONS) if (run / PREDICTIONS).exists() else None,
        "ledger": dict(_read(run / LEDGER)),
    }


def run_log(run: Path) -> str:
    """The classic log of a run's certificates, see `classic_log`.

    Raises:
        UsageError: `run` is not a run directory, or holds no certificates.
    """
    read_manifest(run)
    return classic_log(read_certificates(run))


def run_text(run: Path) -> str:
    """The same for people.

    Raises:
        UsageError: as `run_json`.
    """
    found = run_json(run)
    settings, summary, ledger = found["settings"], found["summary"], found["ledger"]
    head = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    head.add_row("run", f"{run} ({found['command']}, {found['status']})")
    head.add_row("oracle", settings["oracle"])
    if "data" in settings:
        head.add_row("data", settings["data"])
    head.add_row("noise", f"{settings['noise']}, sigma {settings['sigma']:g}")
    if settings.get("coordinator"):
        head.add_row("coordinator", settings["coordinator"])
    parts: list[RenderableType] = [head]
    if summary is not None:
        describe = {"certify": _certify_tables, "tune": _tune_tables}.get(found["command"])
        parts += describe(settings, summary) if describe else []
    if found["predictions"]:
        parts.append(_predictions_table(found["predictions"]))
    parts.append(_ledger_line(ledger))
    return _render(parts)


def _certify_tables(settings: dict[str, Any], summary: Record) -> list[RenderableType]:
    of = "" if summary["complete"] else f"{summary['certificates']:,} of "
    line = f"{of}{_count(summary['images'], 'image')}, {_count(summary['abstained'], 'abstention')}"
    line += f", alpha {settings['alpha']:g} each"
    if summary["acr"] is not None:
        line += f", ACR {summary['acr']:.3f}"
    curve = summary["certified_accuracy"] or summary["certified"]
    if not curve:
        return [line]
    title = "certified accuracy" if summary["certified_accuracy"] else "certified answers"
    table = Table("radius", title, f"{100 * summary['confidence']:g} % interval", box=None, padding=(0, 3, 0, 0))
    for row in curve:
        table.add_row(
            f"{row['radius']:g}", _percent(row["value"]), f"{_percent(row['low'])} to {_percent(row['high'])}"
        )
    return [line, table]


def _tune_tables(settings: dict[str, Any], summary: Record) -> list[RenderableType]:
    if "steps" not in summary:
        return [f"denoising pre-training only, {_count(summary['pretraining']['epochs'], 'epoch')}: no query"]
    table = Table("held-out noisy accuracy", "value", box=None, padding=(0, 3, 0, 0))
    table.add_row("before tuning", _percent(summary["heldout_accuracy_start"]))
    table.add_row("after tuning", _percent(summary["heldout_accuracy_best"]))
    return [f"method {summary['method']}, {_count(summary['steps'], 'step')}", table]


def _ledger_line(ledger: Record) -> str:
    spent = ", ".join(f"{purpose} {queries:,}" for purpose, queries in ledger["spent"].items() if queries)
    line = f"queries spent: {ledger['spent_total']:,}{f' ({spent})' if spent else ''}"
    if ledger["left"] is not None:
        line += f", {ledger['left']:,} left"
    if ledger["price_per_1000"]:
        line += f"; price {ledger['price']:,.2f}"
    return line


def _predictions_table(predictions: list[Record]) -> RenderableType:
    table = Table("file", "prediction", "p-value", box=None, padding=(0, 3, 0, 0))
    for entry in predictions:
        answer = "abstains" if entry["abstained"] else entry["name"]
        table.add_row(entry["file"], answer, f"{entry['p_value']:.2g}")
    return table


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _render(parts: list[RenderableType]) -> str:
    console = Console(file=io.StringIO(), width=WIDTH, no_color=True, highlight=False, markup=False, emoji=False)
    for part in parts:
        console.print(part)
        console.print()
    text = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
