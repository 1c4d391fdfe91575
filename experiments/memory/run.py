"""What kept memory is worth: a forward pass with the allocator as it comes and as bbsmooth sets it.

`python -m experiments.memory.run` asks `experiments.memory.forward` in processes of their own, in turn, and writes
`result.json` beside this file: page faults a pass, processor time an image (the least of all passes), and the median of
the ratios of the pairs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULT = Path(__file__).with_name("result.json")
ROOT = Path(__file__).parents[2]
PAIRS = 3


def main() -> None:
    """Measure, print, and write `result.json`."""
    found: dict[str, Any] = {}
    for where, in_thread in (("main thread", False), ("thread of a run", True)):
        pairs = [(_asked(False, in_thread), _asked(True, in_thread)) for _ in range(PAIRS)]
        found[where] = {
            "as_it_comes": _least([before for before, _ in pairs]),
            "kept": _least([kept for _, kept in pairs]),
            "time_ratio": round(
                statistics.median(
                    kept["microseconds_an_image"] / before["microseconds_an_image"] for before, kept in pairs
                ),
                3,
            ),
        }
    found["load"] = round(os.getloadavg()[1], 1)
    RESULT.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def _asked(kept: bool, in_thread: bool) -> dict[str, float]:
    command = [sys.executable, "-m", "experiments.memory.forward", str(int(kept)), str(int(in_thread))]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run(
        command, cwd=ROOT, env=environment | {"OMP_NUM_THREADS": "1"}, check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout))


def _least(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(each[name] for each in found) for name in found[0]}


if __name__ == "__main__":
    main()
