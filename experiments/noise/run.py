"""What exact noise costs, and what its grid changes: `python -m experiments.noise.run [CHECKOUT]`.

- **drawing**: processor time of noisy copies for each value of a pixel (draw, add, clip or convert), one thread, by
  this checkout and by the one before exact noise in turn: A B A B ...; the figure is the median of the pairs' ratios.
  The allocator keeps its memory on both sides. Without CHECKOUT the other one is a worktree of `BEFORE`, made for the
  purpose and removed again.
- **grid**: votes of the embedded classifier on the same draws, rounded to grids of more and of fewer steps in a
  standard deviation: how many change, and by how much more votes are right, with the standard error over images.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from bbsmooth.data import Split, load
from bbsmooth.noise import Gaussian, Grid
from bbsmooth.randomness import Stream, image_digest, name_digest
from experiments.noise import drawing
from experiments.startup.run import other_checkout
from oracles.zoo import local_vit

RESULT = Path(__file__).with_name("result.json")
ROOT = Path(__file__).parents[2]
BEFORE = "d3c3839"
"""The last revision that drew floating-point noise."""

KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
FINE, SIGMAS, DRAWS = 8, (0.12, 0.25), 8


def main() -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", nargs="?", type=Path, help=f"the other checkout; without it one of {BEFORE}")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--images", type=int, default=1_000)
    given = parser.parse_args()
    with other_checkout(given.checkout, BEFORE) as other:
        pairs = [(_drawing(other), _drawing(ROOT)) for _ in range(given.pairs)]
    drawn = {what: _ratio([(before[what], now[what]) for before, now in pairs]) for what in pairs[0][0]}
    grid = [_grid(sigma, bits, given.images) for sigma in SIGMAS for bits in _coarser(sigma)]
    machine = {"python": platform.python_version(), "processors": os.cpu_count(), "load": round(os.getloadavg()[1], 1)}
    result = {"before": BEFORE, "drawing": drawn, "grid": grid, "machine": machine}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for what, figures in drawn.items():
        print(f"{what:<42}{figures['before']:7.2f} ns {figures['now']:6.2f} ns   ratio {figures['ratio']:.3f}")
    for row in grid:
        print(row)


def _drawing(checkout: Path) -> dict[str, float]:
    """Nanoseconds a value, by a process of its own."""
    script = Path(drawing.__file__)
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | KEEPING | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout))


def _ratio(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "before": round(min(before for before, _ in pairs), 2),
        "now": round(min(now for _, now in pairs), 2),
        "ratio": round(statistics.median(now / before for before, now in pairs), 3),
        "ratios": [round(now / before, 3) for before, now in pairs],
    }


def _coarser(sigma: float) -> tuple[int, ...]:
    """Bits of the grid that is used, and of one with a quarter of its steps where there is one."""
    used = Grid.fitting(Gaussian(sigma), eight_bit=False).bits
    return (used, *([used - 2] if used > 2 else []))


def _grid(sigma: float, bits: int, count: int) -> dict[str, Any]:
    """Votes on a grid beside those on the finest, of the same draws of the same stream."""
    oracle, noise, images = local_vit(), Gaussian(sigma), load("mnist5k", split=Split.TEST)
    changed, differences = 0, []
    for index in range(min(count, len(images))):
        image = images.image(index)
        stream = Stream(name_digest(1, "experiments", "grid", image_digest(image)))
        fine, coarse = (
            oracle.query(Grid(each).noisy(image, noise, stream, first=0, count=DRAWS)).labels for each in (FINE, bits)
        )
        changed += int((fine != coarse).sum())
        truth = images.label(index) or 0
        differences.append((int(coarse.eq(truth).sum()) - int(fine.eq(truth).sum())) / DRAWS)
    return {
        "sigma": sigma,
        "bits": bits,
        "steps_in_a_deviation": 255 * 2**bits * sigma,
        "votes": DRAWS * len(differences),
        "changed": changed,
        "right_more": round(statistics.mean(differences), 6),
        "standard_error": round(statistics.stdev(differences) / math.sqrt(len(differences)), 6),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
