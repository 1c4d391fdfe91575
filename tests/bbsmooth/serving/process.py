"""`bbsmooth serve` as a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


@contextmanager
def serving(
    oracle: str, *arguments: str, files: int | None = None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A process that serves `oracle` on 127.0.0.1, and what it said when it was ready.

    Args:
        oracle: by name.
        arguments: of the command.
        files: that it may have open at most, connections among them; None for what this process may.
    """
    command = [sys.executable, "-c", "from bbsmooth.cli.main import run; run()"]
    if files is not None:
        command = ["bash", "-c", f'ulimit -n {files}; exec "$@"', "limited", *command]
    child = subprocess.Popen(
        [*command, "serve", "--oracle", oracle, "--port", "0", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        assert child.stdout is not None
        assert child.stderr is not None
        line = child.stdout.readline()
        assert line, child.stderr.read()
        yield child, json.loads(line)
    finally:
        child.kill()
        child.communicate()
