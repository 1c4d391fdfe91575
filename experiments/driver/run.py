"""What a batch costs the process that keeps ledger and record, now and before: `python -m experiments.driver.run`.

Processor time of one call of `VoteSource.votes`, and of one batch of whole certifications with two calls at once, by
this checkout and by another one in turn: A B A B ...; the figure is the median of the pairs' ratios. Without CHECKOUT
the other one is a worktree of `BEFORE`, made for the purpose and removed again. See `batches.py` for what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from experiments.driver import batches
from experiments.startup.run import other_checkout

RESULT = Path(__file__).with_name("result.json")
ROOT = Path(__file__).parents[2]
BEFORE = "e8e4f6e"
"""The last revision that read an oracle's identity from the record for each batch."""


def main() -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", nargs="?", type=Path, help=f"the other checkout; without it one of {BEFORE}")
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    with other_checkout(given.checkout, BEFORE) as other:
        pairs = [(_microseconds(other), _microseconds(ROOT)) for _ in range(given.pairs)]
    found = {what: _compared([(before[what], now[what]) for before, now in pairs]) for what in pairs[0][0]}
    machine = {"python": platform.python_version(), "processors": os.cpu_count(), "load": round(os.getloadavg()[1], 1)}
    result = {"before": BEFORE, "batch": batches.BATCH, "microseconds": found, "machine": machine}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for what, figures in found.items():
        print(f"{what:<22}{figures['before']:7.0f} us {figures['now']:6.0f} us   ratio {figures['ratio']:.3f}")


def _microseconds(checkout: Path) -> dict[str, float]:
    """Processor time of each, by a process of its own."""
    done = subprocess.run(
        [sys.executable, str(Path(batches.__file__))],
        env=os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout))


def _compared(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "before": round(statistics.median(before for before, _ in pairs), 1),
        "now": round(statistics.median(now for _, now in pairs), 1),
        "ratio": round(statistics.median(now / before for before, now in pairs), 3),
        "ratios": [round(now / before, 3) for before, now in pairs],
    }


if __name__ == "__main__":
    main()
