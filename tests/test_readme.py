"""The README is run: its first example prints what the README says it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_first_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", README, re.DOTALL)
    assert found is not None
    code, output = found.groups()
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=where
    )
    assert ran.stdout == output


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", README)) <= targets


def test_ci_runs_what_contributors_are_told_to_run() -> None:
    called = set(re.findall(r"^make ([a-z-]+)|\|\| make ([a-z-]+)", (ROOT / ".ci/run").read_text(), re.MULTILINE))
    named = re.findall(r"^    make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert {first or second for first, second in called} == set(named[:-2])  # "all but the last two"
    assert set(named) - {"test-failed"} <= set(re.findall(r"`make ([a-z-]+)`", README))


def test_every_command_of_the_readme_parses() -> None:
    from typer.testing import CliRunner

    from bbsmooth.cli.main import app

    commands = set(re.findall(r"(?:`|\$ )bbsmooth ([a-z-]+)", README))
    assert len(commands) > 10
    for command in commands:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
