"""The golden runs: one small run of each kind, by the command line, with fixed seeds.

`python -m tests.bbsmooth.golden.commands FOLDER` makes them all. Those beside this file were made by bbsmooth 0.1; they
must stay readable, and the same commands must give the same certificates, with noise drawn as then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RUNS = HERE / "runs-0.1"
_ORACLE = ("--oracle", "module:classifier.py:nearest?num_classes=10")
_SCORES = ("--oracle", "module:classifier.py:scores?num_classes=10")
_DIGITS = ("--data", "digits", "--seed", "7")
_AS_THEN = ("--noise-algorithm", "philox4x64-ziggurat-1")
_CERTIFY = (
    "certify",
    *_ORACLE,
    *_DIGITS,
    "--limit",
    "4",
    "--sigma",
    "0.25",
    "--n0",
    "20",
    "--alpha",
    "0.01",
    *_AS_THEN,
)
_FIXED = (*_CERTIFY, "--n", "200")
_RADII = ("--radius", "0.1", "--radius", "0.2")
_LOG = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.41\t1\t0:00:01.5\n1\t8\t-1\t0.0\t0\t0:00:01.25\n"

COMMANDS: dict[str, tuple[str, ...]] = {
    "cohen": _FIXED,
    "two-class": (*_FIXED, "--bound", "two-class"),
    "randomised": (*_FIXED, "--bound", "randomised"),
    "holm": (*_FIXED, "--family-wise", "holm"),
    "laplace": (*_FIXED, "--noise", "laplace"),
    "uniform": (*_FIXED, "--noise", "uniform"),
    "by-oracle": (*_FIXED, "--labels", "oracle"),
    "changed": (
        *_FIXED,
        "--oracle",
        "module:classifier.py:changed?num_classes=10",
        "--n",
        "100",
        "--incremental-from",
        "cohen",
    ),
    "splitting": (*_CERTIFY, "--noise", "splitting", "--method", "splitting"),
    "sequential": (*_CERTIFY, "--method", "sequential", "--n", "2000", *_RADII),
    "growing": (*_CERTIFY, "--method", "sequential", "--n", "1000"),
    "budget-ended": (
        *_CERTIFY,
        "--method",
        "sequential",
        "--n",
        "2000",
        *_RADII,
        "--budget",
        "200",
        "--batch-size",
        "16",
    ),
    "predict": (
        "predict",
        "digit.png",
        *_ORACLE,
        "--seed",
        "7",
        "--sigma",
        "0.25",
        "--n",
        "50",
        "--alpha",
        "0.01",
        *_AS_THEN,
    ),
    "plan": ("plan", *_ORACLE, *_DIGITS, *_AS_THEN, "--sigma", "0.25", "--n0", "20", "--n", "2000", *_RADII),
    "tune": (
        "tune",
        *_AS_THEN,
        *_SCORES,
        *_DIGITS,
        "--sigma",
        "0.25",
        "--budget",
        "3000",
        "--pretrain-epochs",
        "1",
        "--train-images",
        "100",
    ),
    "attack": (
        "attack",
        "cohen",
        "--radius",
        "0.25",
        "--limit",
        "2",
        "--method",
        "hopskipjump",
        "--search",
        "4",
        "--judge",
        "20",
    ),
    "import-log": ("import-log", "sigma_0.25.tsv", "--sigma", "0.25", "--n0", "100", "--n", "1000", "--alpha", "0.001"),
    "train": (
        "train",
        "--model",
        "local-vit",
        "--resize",
        "--data",
        "digits",
        "--sigma",
        "0.25",
        "--method",
        "head",
        "--epochs",
        "1",
        "--train-images",
        "32",
    ),
}
"""By name of the run."""

STATUS = {"budget-ended": 3}
"""Exit status, where it is not 0."""


def prepare(folder: Path) -> None:
    """Put there what the commands name."""
    shutil.copy(HERE / "classifier.py", folder)
    shutil.copy(HERE / "digit.png", folder)
    (folder / "sigma_0.25.tsv").write_text(_LOG)


def make(name: str, folder: Path) -> None:
    """Make one run in a prepared folder."""
    command = [sys.executable, "-m", "bbsmooth", *COMMANDS[name], "--out", name, "--json"]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    if done.returncode != STATUS.get(name, 0):
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr}{done.stdout}")


def main(folder: Path) -> None:
    """Make all."""
    prepare(folder)
    for name in COMMANDS:
        make(name, folder)
        print(name, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
