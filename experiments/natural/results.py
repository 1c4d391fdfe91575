"""The figures of this study, in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results.json"


def keep(world: str, name: str, row: dict[str, Any]) -> None:
    """Print a world's row, and write it in place of an earlier one of that name."""
    print(world, name, json.dumps(row), flush=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results.setdefault(world, {})[name] = row
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
