"""The files of a run, read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbsmooth.runs.certificates import Record, read_certificates, read_summary
from bbsmooth.runs.decoding import read_lines, read_record, with_methods_of_today
from bbsmooth.runs.directory import Status, complete_manifest
from bbsmooth.runs.files import in_use
from bbsmooth.runs.layout import ACCEPTANCE, CERTIFICATES, HISTORY, LEDGER, PREDICTIONS, SUMMARY
from bbsmooth.runs.records.entries import DataEntry, OracleEntry
from bbsmooth.runs.records.ledger import LedgerState
from bbsmooth.runs.records.lines import AcceptanceLine, HistoryEvent, Prediction
from bbsmooth.runs.records.manifests import Manifest
from bbsmooth.runs.remote.naming import name_of


@dataclass(frozen=True, slots=True)
class Run:
    """Contents of the files of a run; None where a file is not there.

    Attributes:
        path: the directory.
        place: what people call it, a URL where it is somewhere else.
        manifest: settings, seeds, fingerprints, versions.
        status: how it stands; "killed" where the manifest says that it runs and no process does.
        summary: of `summary.json`.
        ledger: of `ledger.json`.
        predictions: of `predictions.json`.
        certificates: of `certificates.jsonl`.
        history: of `history.jsonl`.
        accepted: of `acceptance.jsonl`.
    """

    path: Path
    place: str
    manifest: Manifest
    status: str
    summary: Record | None
    ledger: Record | None
    predictions: list[Record] | None
    certificates: list[Record] | None
    history: list[Record] | None
    accepted: list[Record] | None = None

    @property
    def command(self) -> str:
        """Command that made it."""
        return str(self.manifest["command"])

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that were asked for."""
        return with_methods_of_today(dict(self.manifest["settings"]))

    @property
    def oracle(self) -> OracleEntry | None:
        """The oracle that was asked, None where none was."""
        return self.manifest.get("oracle")

    @property
    def data(self) -> DataEntry | None:
        """The images, None where they have no name."""
        return self.manifest.get("data")

    @property
    def name(self) -> str:
        """Name that people call it by."""
        return self.path.name or str(self.path.resolve())


def read_run(path: Path) -> Run:
    """Read a run directory.

    Raises:
        UsageError: `path` is not a run directory, or a file in it cannot be read.
    """
    manifest = complete_manifest(path)
    dead = manifest["status"] == Status.RUNNING and not in_use(path)
    return Run(
        path=path,
        place=name_of(path),
        manifest=manifest,
        status="killed" if dead else manifest["status"],
        summary=read_summary(path, manifest["command"]) if (path / SUMMARY).exists() else None,
        ledger=dict(read_record(path / LEDGER, LedgerState)) if (path / LEDGER).exists() else None,
        predictions=_predictions(path / PREDICTIONS) if (path / PREDICTIONS).exists() else None,
        certificates=read_certificates(path) if (path / CERTIFICATES).exists() else None,
        history=_history(path / HISTORY) if (path / HISTORY).exists() else None,
        accepted=read_acceptance(path) if (path / ACCEPTANCE).exists() else None,
    )


def run_json(path: Path) -> Record:
    """Command, status, settings, summary and ledger of a run as one JSON object.

    Raises:
        UsageError: as `read_run`.
    """
    run = read_run(path)
    return {
        "run": run.place,
        "command": run.command,
        "status": run.status,
        "settings": run.settings,
        "summary": run.summary,
        "predictions": run.predictions,
        "ledger": run.ledger,
    }


def _predictions(path: Path) -> list[Record]:
    return list(map(dict, read_record(path, list[Prediction])))


def _history(path: Path) -> list[Record]:
    return list(map(dict, read_lines(path, HistoryEvent, "an event of a history")))


def read_acceptance(folder: Path) -> list[Record]:
    """The lines of a run, in their order; none where there is no file.

    Raises:
        Damaged: a line is not one of an acceptance test.
    """
    path = folder / ACCEPTANCE
    if not path.exists():
        return []
    return list(map(dict, read_lines(path, AcceptanceLine, "an image of an acceptance test")))
