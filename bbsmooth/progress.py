"""Progress on stderr: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10.0


class Meter(Protocol):
    """Shows how far a task is."""

    def advance(self, amount: int, note: str = "") -> None:
        """So much more is done; `note` says what came of it so far."""
        ...


@contextmanager
def meter(title: str, total: int | None, unit: str) -> Iterator[Meter]:
    """Show progress on stderr while the block runs.

    Args:
        title: what is being done.
        total: how much there is to do, None where nobody knows.
        unit: of `total`.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(title, total, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}" + f"{_of(total)} {unit}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bar(bars, title, total)


def say(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


def _of(total: int | None) -> str:
    return "" if total is None else f" of {total:,}"


class _Bar:
    def __init__(self, bars: Progress, title: str, total: int | None) -> None:
        self._bars = bars
        self._task = bars.add_task(title, total=total, note="")

    def advance(self, amount: int, note: str = "") -> None:
        fields = {"note": note} if note else {}
        self._bars.update(self._task, advance=amount, **fields)  # type: ignore[arg-type]  # rich types fields loosely


class _Lines:
    def __init__(self, title: str, total: int | None, unit: str) -> None:
        self._title = title
        self._of = _of(total)
        self._unit = unit
        self._done = 0
        self._last = time.monotonic()
        self._note = ""

    def advance(self, amount: int, note: str = "") -> None:
        self._done += amount
        self._note = note or self._note
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            say(f"{self._title}: {self._done:,}{self._of} {self._unit}{', ' if self._note else ''}{self._note}")
