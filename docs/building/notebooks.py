"""Execute the notebooks, each from a clean kernel in an empty folder: `python docs/building/notebooks.py [--write]`.

A cell that raises ends it with that cell and its error. `--write` keeps the outputs, which the site then shows.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
SLOWEST_CELL = 300
"""Seconds after which a cell counts as one that hangs."""

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def execute(path: Path) -> Any:
    """The notebook with what its cells put out.

    Raises:
        CellExecutionError: a cell raised.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=SLOWEST_CELL, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute()
    return notebook


def kept(notebook: Any) -> Any:
    """The notebook as it is committed: what cells print and show, without progress, times of execution and counters."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [_without_counters(output) for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return notebook


def _without_counters(output: Any) -> Any:
    if "execution_count" in output:
        output.execution_count = None
    if "text" in output:
        output.text = _COLOUR.sub("", output.text)
    return output


def main() -> None:
    """Execute all, each with one thread: small networks gain nothing from more, and lose much to busy neighbours."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for path in sorted(FOLDER.glob("*.ipynb")):
        started = time.monotonic()
        notebook = execute(path)
        print(f"{path.name}: {time.monotonic() - started:.1f} s", flush=True)
        if "--write" in sys.argv[1:]:
            nbformat.write(kept(notebook), path)


if __name__ == "__main__":
    main()
