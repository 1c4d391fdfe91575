"""JSON Schemas of the records in a run directory: `python -m bbsmooth.runs.schema docs/schemas` writes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from bbsmooth.runs.layout import (
    ACCEPTANCE,
    ATTACKS,
    CERTIFICATES,
    COMMITMENT,
    HISTORY,
    LEDGER,
    MANIFEST,
    PREDICTIONS,
    PRETRAINING,
    STABILITY,
    SUMMARY,
)
from bbsmooth.runs.records import commitment, ledger, lines, manifests, summaries

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each file, by the schema's name; of a file of lines, of one line."""
    kinds: dict[str, tuple[str, Any]] = {
        "manifest": (MANIFEST, manifests.Manifest),
        "ledger": (LEDGER, ledger.LedgerState),
        "certificate": (f"A line of {CERTIFICATES}", lines.CertificateLine),
        "acceptance": (f"A line of {ACCEPTANCE}", lines.AcceptanceLine),
        "commitment": (COMMITMENT, commitment.Commitment),
        "predictions": (PREDICTIONS, list[lines.Prediction]),
        "history": (f"A line of {HISTORY}", lines.HistoryEvent),
        "attack": (f"A line of {ATTACKS}", lines.AttackLine),
        "pretraining": (PRETRAINING, summaries.Pretraining),
        "stability": (STABILITY, summaries.Stability),
    }
    for command, kind in summaries.SUMMARIES.items():
        kinds[f"summary-{command}"] = (f"{SUMMARY} of `bbsmooth {command}`", kind)
    for command, kind in manifests.MANIFESTS.items():
        kinds[f"manifest-{command}"] = (f"{MANIFEST} of `bbsmooth {command}`, besides what every manifest has", kind)
    return {
        name: {"$schema": DIALECT, "title": title} | msgspec.json.schema(kind) for name, (title, kind) in kinds.items()
    }


def write_schemas(folder: Path) -> None:
    """Write each into `folder` as NAME.schema.json, and remove others that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {f"{name}.schema.json": schema for name, schema in schemas().items()}
    for name, schema in found.items():
        (folder / name).write_text(json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    for path in folder.glob("*.schema.json"):
        if path.name not in found:
            path.unlink()


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
