"""Processor time of short commands, now and before: `python -m experiments.startup.run [CHECKOUT]`.

Each command runs in a process of its own, by this interpreter, from this checkout and from another one in turn: A B A B
...; user and system time of each process are read from the operating system. The figure is the median of the ratios of
the pairs. Without CHECKOUT the other one is a worktree of `BEFORE`, made for the purpose and removed again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULT = Path(__file__).with_name("result.json")
BEFORE = "5513f84"
"""The last revision in which every command imported everything."""

_RUNS = ROOT / "tests" / "bbsmooth" / "golden" / "runs-0.1"
_CERTIFY = ("certify", "--oracle", "local-vit", "--data", "mnist5k", "--limit", "1", "--sigma", "0.25", "--n0", "1")
COMMANDS: dict[str, tuple[str, ...]] = {
    "--help": ("--help",),
    "oracle list": ("oracle", "list"),
    "data list": ("data", "list"),
    "report to text": ("report", str(_RUNS / "cohen"), "--format", "text"),
    "compare to text": ("compare", str(_RUNS / "cohen"), str(_RUNS / "holm")),
    "certify of one image": (*_CERTIFY, "--n", "10", "--alpha", "0.5"),
}


def main() -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", nargs="?", type=Path, help=f"the other checkout; without it one of {BEFORE}")
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    with other_checkout(given.checkout, BEFORE) as other:
        git = ["git", "-C", str(other), "rev-parse", "--short", "HEAD"]
        revision = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
        found = {name: _compared(arguments, other, given.pairs) for name, arguments in COMMANDS.items()}
    result = {"before": revision, "commands": found}
    result |= {"machine": {"python": platform.python_version(), "processors": os.cpu_count()}}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for name, figures in found.items():
        print(f"{name:<22}{figures['before']:7.2f} s {figures['now']:7.2f} s   ratio {figures['ratio']:.3f}")


@contextmanager
def other_checkout(checkout: Path | None, before: str) -> Iterator[Path]:
    """The checkout to compare with: the one that was named, else a worktree of a revision while the block runs."""
    if checkout is not None:
        yield checkout.absolute()
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "before"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), before], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


def _compared(arguments: tuple[str, ...], other: Path, pairs: int) -> dict[str, Any]:
    """Seconds of processor time, each the median, and the median of the pairs' ratios; one pair warms the disk up."""
    timed = [(_seconds(arguments, other), _seconds(arguments, ROOT)) for _ in range(pairs + 1)][1:]
    return {
        "before": round(statistics.median(before for before, _ in timed), 3),
        "now": round(statistics.median(now for _, now in timed), 3),
        "ratio": round(statistics.median(now / before for before, now in timed), 4),
        "ratios": [round(now / before, 4) for before, now in timed],
    }


def _seconds(arguments: tuple[str, ...], checkout: Path) -> float:
    """Processor time of one command; a run that it writes goes into a folder that is removed."""
    with tempfile.TemporaryDirectory() as folder:
        out = ("--out", str(Path(folder) / "run")) if arguments[0] == "certify" else ()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "bbsmooth", *arguments, *out],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
