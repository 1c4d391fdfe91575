"""Going on with a tuning: under larger limits, and only where history, checkpoint and ledger fit each other."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

from bbsmooth.runs.certificates import Record
from bbsmooth.runs.decoding import Damaged, read_lines
from bbsmooth.runs.directory import RunDirectory, Status, read_manifest
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.history import judged_accuracies
from bbsmooth.runs.layout import CHECKPOINT, HISTORY, HISTORY_DIGEST, LEDGER, MANIFEST
from bbsmooth.runs.lines import append_line, write_lines
from bbsmooth.runs.records.lines import HistoryEvent
from bbsmooth.settings.common import LIMITS, OracleConfig
from bbsmooth.tuning import Event
from bbsmooth.tuning.checkpoint import TuneState
from oracles import Ledger, Purpose

_log = logging.getLogger(__name__)

RAISED = "raised"
"""Entry of the manifest: limits that are larger than those that the run was begun with."""

_END = b"\n"


def planned(folder: Path, asking: OracleConfig) -> OracleConfig:
    """How the oracle is asked, with the limits that the run in `folder` was begun with, where they ended it.

    These decide which steps are taken. Larger ones pay once more for answers that a crash has lost, so that the run
    ends as it would have ended without.
    """
    manifest = read_manifest(folder) if (folder / MANIFEST).exists() else None
    if manifest is None or (manifest["status"] != Status.BUDGET and RAISED not in manifest):
        return asking
    begun = {name: manifest["settings"].get(name) for name in LIMITS}
    return replace(asking, **{name: least for name, least in begun.items() if least and _larger(asking, name, least)})


def _larger(asking: OracleConfig, name: str, least: float) -> bool:
    limit = getattr(asking, name)
    return limit is not None and limit > least


def keep_raised(run: RunDirectory, asking: OracleConfig, plan: OracleConfig) -> None:
    """Write the limits of `asking` down, where they are or were larger than those of the plan."""
    if asking != plan:
        _log.info("steps are those of the limits that the run was begun with; larger ones pay for what was lost")
    if asking != plan or RAISED in run.manifest:
        run.note(RAISED, {name: getattr(asking, name) for name in LIMITS})


def go_on(folder: Path, ledger: Ledger) -> None:
    """Bring the history back to where the checkpoint is: a crash between the two leaves an event too many.

    Without a checkpoint everything is computed again, from the answers on record, and the history begins anew.

    Raises:
        Damaged: they do not fit each other, or the ledger covers less than was asked.
    """
    path, history = folder / CHECKPOINT, folder / HISTORY
    events: list[Record] = list(map(dict, read_lines(history, HistoryEvent, "an event"))) if history.exists() else []
    state = _state(path) if path.exists() else None
    done = 0 if state is None else state.events
    if state is not None:
        if not _leads_to(events[:done], state):
            raise Damaged(
                f"{history} does not lead to {path.name}, which counts {done} events and {state.queries:,} queries; "
                f"restore both from a copy, or remove {path.name}: the answers on record lead there again"
            )
        if ledger.spent[Purpose.TUNE] < state.queries:
            raise Damaged(
                f"{folder / LEDGER} says that {ledger.spent[Purpose.TUNE]:,} queries were spent on tuning, "
                f"{path.name} counts {state.queries:,}; restore it from a copy, or name another `run`"
            )
    if state is not None:
        _refuse_other_lines(folder)
    if len(events) > done:
        write_lines(history, events[:done])
        _seal(folder)


def keep_event(folder: Path, event: Event) -> None:
    """Append an event to the history, and write down what that holds now."""
    append_line(folder / HISTORY, event)
    _seal(folder)


def _seal(folder: Path) -> None:
    raw = (folder / HISTORY).read_bytes()
    write_bytes(folder / HISTORY_DIGEST, f"{raw.count(_END)} {hashlib.sha256(raw).hexdigest()}\n".encode())


def _refuse_other_lines(folder: Path) -> None:
    """Refuse a history that does not begin as it was written; that of an earlier version has nothing to tell by.

    Raises:
        Damaged: it does not.
    """
    sealed = folder / HISTORY_DIGEST
    if not sealed.exists():
        return
    lines = (folder / HISTORY).read_bytes().splitlines(keepends=True) if (folder / HISTORY).exists() else []
    try:
        number, digest = sealed.read_text().split()
        fits = hashlib.sha256(b"".join(lines[: int(number)])).hexdigest() == digest
    except ValueError:
        fits = False
    if not fits:
        raise Damaged(f"{folder / HISTORY} or {sealed.name} is not as it was written; restore both from a copy")


def _state(path: Path) -> TuneState:
    try:
        return TuneState.from_bytes(path.read_bytes(), identity=None)
    except ValueError as error:
        raise Damaged(f"{path}: {error}; remove it, and the answers on record lead there again") from error


def _leads_to(events: list[Record], state: TuneState) -> bool:
    """True if a history ends at a state: as many events, the same queries and the same best validation."""
    queries = [event.get("queries", -1) for event in events]
    if len(events) != state.events or queries != sorted(queries) or [0, *queries][-1] != state.queries:
        return False
    validated = state.best_score is None or judged_accuracies(events).get(state.best_step) == state.best_score.accuracy
    steps = [event.get("step") for event in events if "heldout_accuracy" not in event]
    return validated and steps == list(range(1, state.step + 1))
