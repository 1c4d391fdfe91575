"""Commands that ask no model load nothing that models need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUNS = Path(__file__).parents[1] / "golden" / "runs-0.1"
HEAVY = ("torch", "torchvision", "timm", "sklearn", "matplotlib")
CODE = f"""
import sys
for name in {HEAVY}:
    sys.modules[name] = None  # to import it is an error from now on
from bbsmooth.cli.entry import run
run()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["certify", "--help"],
        ["oracle", "list"],
        ["data", "list"],
    ],
    ids=" ".join,
)
def test_what_asks_no_model_starts_without_its_libraries(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
