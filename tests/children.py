"""Processes that tests kill: a module reads a line, forks a process that does what it says, and prints its status."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from tests import killed_commands
from tests.conftest import ROOT

KILLED = -signal.SIGKILL


class Children:
    """Processes that a module forks, one after the other.

    Args:
        module: its name.
        quiet: whether what they write to stderr is thrown away.
    """

    def __init__(self, module: str, *, quiet: bool = False) -> None:
        """Start the process that forks."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process that forks."""
        self._process.communicate()

    def ended(self, line: str) -> int:
        """The exit status of a process that does what a line says: negative where a signal came before its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


class Commands(Children):
    """Commands of `bbsmooth` in processes of their own."""

    def __init__(self) -> None:
        """Start the process that forks."""
        super().__init__(killed_commands.__name__, quiet=True)

    def run(self, arguments: Sequence[object], *, kill_after: float | None = None) -> int:
        """The exit status of one command: negative where the kill came before the end."""
        return self.ended(json.dumps([kill_after, *map(str, arguments)]))

    def until_done(
        self,
        arguments: Sequence[object],
        run: Path,
        *,
        chance: random.Random,
        within: tuple[float, float],
        most: int,
    ) -> Iterator[int]:
        """The exit status of each process of a run that is killed up to `most` times, and goes on.

        Args:
            arguments: of the command.
            run: its directory.
            chance: says when it is killed.
            within: seconds after which it is, at least and at most.
            most: kills, after which it may end.
        """
        kills, status = 0, KILLED
        while status == KILLED:
            resume = ["--resume"] if (run / "manifest.json").exists() else []
            status = self.run([*arguments, *resume], kill_after=chance.uniform(*within) if kills < most else None)
            kills += status == KILLED
            yield status
