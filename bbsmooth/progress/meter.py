"""Progress: a bar on a terminal or in a notebook; for commands also a line now and then, or JSON lines for machines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from tqdm import tqdm

from bbsmooth.errors import UsageError

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_OBJECTS = 1.0

Facts = Mapping[str, float | int | str | None]


class Style(StrEnum):
    """Style in which progress is shown."""

    AUTO = "auto"
    """A bar on a terminal, now and then a line elsewhere."""

    BARS = "bars"
    """A bar on a terminal or in a notebook, nothing elsewhere: what a library may show."""

    JSON = "json"
    """One object a line."""

    NONE = "none"


Observer = Callable[[str, int, Facts], None]
"""Told a task, how much of it is done, and what came of it."""

_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)
_style: ContextVar[Style] = ContextVar("style", default=Style.BARS)


class Spending(Protocol):
    """Spending of a task: a ledger."""

    @property
    def remaining(self) -> int | None:
        """Queries left, None where there is no limit."""
        ...

    @property
    def price(self) -> float:
        """The most that everything spent so far can cost."""
        ...

    @property
    def billed(self) -> float | None:
        """Cost of what is known to have been billed, None where only queries have a price."""
        ...


class Meter(Protocol):
    """Shows how far a task is."""

    def advance(self, amount: int, note: str = "", facts: Facts | None = None) -> None:
        """So much more is done; `note` says what came of it so far, `facts` the same to machines."""
        ...

    def expect(self, total: int | None) -> None:
        """From now on expect this much in all; None where nobody knows."""
        ...


@contextmanager
def showing(style: str) -> Iterator[None]:
    """Show the progress of all tasks in the block in one way.

    Args:
        style: "auto", a bar on a terminal and lines elsewhere; "json", one object a line; "none".

    Raises:
        UsageError: another one.
    """
    if style not in list(Style):
        raise UsageError(f"`progress` must be one of {', '.join(Style)}, got {style!r}")
    token = _style.set(Style(style))
    try:
        yield
    finally:
        _style.reset(token)


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Tell somebody else what comes of all tasks in the block, however progress is shown."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


@contextmanager
def meter(title: str, total: int | None, unit: str, *, spending: Spending | None = None) -> Iterator[Meter]:
    """Show progress on stderr while the block runs.

    Args:
        title: what is being done.
        total: how much there is to do, None where nobody knows.
        unit: of `total`.
        spending: says what is left of the budget and what was paid, where queries are spent.
    """
    task = _Task(title, total, unit, spending, _observer.get())
    match _style.get():
        case Style.NONE:
            yield task
            return
        case Style.JSON:
            shown = _Objects(task)
            try:
                yield shown
            finally:
                shown.tell()
            return
    console = Console(stderr=True)
    if console.is_jupyter:
        with tqdm(total=total, desc=title, unit=unit) as shown_bar:
            yield _NotebookBar(shown_bar, task)
        return
    if not console.is_terminal:
        yield _Lines(task) if _style.get() is Style.AUTO else task
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}{task.fields[of]} " + unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bar(bars, task)


def _show(text: str) -> None:
    """One line on stderr, for commands."""
    print(text, file=sys.stderr, flush=True)


def _price(spending: Spending) -> str:
    billed, most = spending.billed, spending.price
    if billed is None:
        return f"price {most:,.2f}"
    return f"billed {billed:,.2f}" + (f", at most {most:,.2f}" if f"{most:,.2f}" != f"{billed:,.2f}" else "")


def _of(total: int | None) -> str:
    return "" if total is None else f" of {total:,}"


@dataclass(slots=True)
class _Task:
    """Progress of a task; a meter that shows nothing."""

    title: str
    total: int | None
    unit: str
    spending: Spending | None
    observer: Observer | None
    done: int = 0
    note: str = ""
    facts: Facts = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def advance(self, amount: int, note: str = "", facts: Facts | None = None) -> None:
        self.done += amount
        self.note = note or self.note
        self.facts = facts or self.facts
        if self.observer is not None:
            self.observer(self.title, self.done, facts or {})

    def expect(self, total: int | None) -> None:
        self.total = total

    @property
    def seconds_left(self) -> float | None:
        """Until the end at the pace so far, None where nobody can tell."""
        if not self.done or self.total is None:
            return None
        return (time.monotonic() - self.started) / self.done * max(0, self.total - self.done)

    @property
    def remarks(self) -> str:
        """Remarks on what came of it, what is left, what was paid."""
        said = [self.note] if self.note else []
        if self.spending is not None and self.spending.remaining is not None:
            said.append(f"{max(0, self.spending.remaining):,} queries left")
        if self.spending is not None and (self.spending.price or self.spending.billed is not None):
            said.append(_price(self.spending))
        return ", ".join(said)

    def as_json(self) -> dict[str, Any]:
        left, spending = self.seconds_left, self.spending
        return {
            "task": self.title,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "seconds": round(time.monotonic() - self.started, 3),
            "seconds_left": None if left is None else round(left, 3),
            "ends": None
            if left is None
            else (datetime.now(UTC) + timedelta(seconds=left)).isoformat(timespec="seconds"),
            "queries_left": None if spending is None else spending.remaining,
            "price": None if spending is None else spending.price,
            **({} if spending is None or spending.billed is None else {"billed": spending.billed}),
            "note": self.note,
            **self.facts,
        }


class _Bar:
    def __init__(self, bars: Progress, task: _Task) -> None:
        self._bars = bars
        self._task = task
        self._shown = bars.add_task(task.title, total=task.total, note="", of=_of(task.total))

    def advance(self, amount: int, note: str = "", facts: Facts | None = None) -> None:
        self._task.advance(amount, note, facts)
        self._bars.update(self._shown, advance=amount, note=self._task.remarks)

    def expect(self, total: int | None) -> None:
        self._task.expect(total)
        self._bars.tasks[self._shown].total = total  # given to `update`, it would forget the pace
        self._bars.update(self._shown, of=_of(total))


class _NotebookBar:
    def __init__(self, bar: Any, task: _Task) -> None:
        self._bar = bar
        self._task = task

    def advance(self, amount: int, note: str = "", facts: Facts | None = None) -> None:
        self._task.advance(amount, note, facts)
        self._bar.set_postfix_str(self._task.remarks, refresh=False)
        self._bar.update(amount)

    def expect(self, total: int | None) -> None:
        self._task.expect(total)
        self._bar.total = total


class _Lines:
    def __init__(self, task: _Task) -> None:
        self._task = task
        self._last = time.monotonic()

    def advance(self, amount: int, note: str = "", facts: Facts | None = None) -> None:
        task = self._task
        task.advance(amount, note, facts)
        if time.monotonic() - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = time.monotonic()
        left = f", {task.seconds_left:,.0f} s to go" if (task.seconds_left or 0) >= 1 else ""
        remarks = f", {task.remarks}" if task.remarks else ""
        _show(f"{task.title}: {task.done:,}{_of(task.total)} {task.unit}{remarks}{left}")

    def expect(self, total: int | None) -> None:
        self._task.expect(total)


class _Objects:
    def __init__(self, task: _Task) -> None:
        self._task = task
        self._last = time.monotonic()
        self.tell()

    def advance(self, amount: int, note: str = "", facts: Facts | None = None) -> None:
        self._task.advance(amount, note, facts)
        if time.monotonic() - self._last >= SECONDS_BETWEEN_OBJECTS:
            self.tell()

    def expect(self, total: int | None) -> None:
        self._task.expect(total)

    def tell(self) -> None:
        self._last = time.monotonic()
        _show(json.dumps(self._task.as_json()))
