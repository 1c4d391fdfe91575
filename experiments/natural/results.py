"""The figures of these studies, a file for each script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results.json"


def keep(world: str, name: str, row: dict[str, Any], path: Path = RESULTS) -> None:
    """Print a world's row, and write it into `path` in place of an earlier one of that name."""
    print(world, name, json.dumps(row), flush=True)
    results = json.loads(path.read_text()) if path.exists() else {}
    results.setdefault(world, {})[name] = row
    path.write_text(json.dumps(results, indent=2) + "\n")
