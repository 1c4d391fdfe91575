"""Result of every call that leaves a run directory: the run, read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

from bbsmooth.data import ImageSet
from bbsmooth.errors import UsageError
from bbsmooth.reporting.numbers import count
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.issuing import read_issued
from bbsmooth.runs.reading import Run


@dataclass(frozen=True, slots=True)
class Spent:
    """Spending of a run.

    Attributes:
        queries: images answered, by purpose.
        total: queries in all.
        left: of the budget, None where there is no limit.
        price: of all queries, 0 where they cost nothing; with prices of tokens, images or requests the most it can be.
        billed: what is known to have been billed at these prices, None without them.
        usage: tokens that replies told of, as in `ledger.json`; empty where none did.
    """

    queries: Mapping[str, int]
    total: int
    left: int | None
    price: float
    billed: float | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, ledger: Mapping[str, Any]) -> Spent:
        """Read the spending from the contents of `ledger.json`."""
        by_purpose = {purpose: number for purpose, number in ledger["spent"].items() if number}
        return cls(
            by_purpose,
            sum(ledger["spent"].values()),
            ledger["left"],
            float(ledger["price"]),
            ledger.get("billed"),
            ledger.get("usage", {}),
        )

    def __str__(self) -> str:
        """One line."""
        parts = ", ".join(f"{purpose} {number:,}" for purpose, number in self.queries.items())
        left = "" if self.left is None else f", {self.left:,} left"
        price = f"; price {self.price:,.2f}" if self.price else ""
        price = price if self.billed is None else f"; billed {self.billed:,.2f}, at most {self.price:,.2f}"
        return f"{count(self.total, 'query', 'queries')}{f' ({parts})' if parts else ''}{left}{price}"


class RunResult:
    """A run directory and what its files say.

    Attributes:
        run: the directory.
    """

    command: ClassVar[str]

    def __init__(self, read: Run, images: ImageSet | None = None) -> None:
        """Keep what was read, and the images where they are at hand."""
        self.run = read.path
        self._read = read
        self._images = images

    @classmethod
    def read(cls, run: Path | str, *, images: ImageSet | None = None) -> Self:
        """Read a run directory.

        Raises:
            UsageError: it is none, or one of another command.
        """
        found = read_issued(Path(run))
        if found.command != cls.command:
            raise UsageError(f"{run} is a run of `{found.command}`, not of `{cls.command}`")
        return cls(found, images)

    @property
    def status(self) -> str:
        """Ending of the run: "done", or what stopped it."""
        return self._read.status

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that were asked for, as the manifest has them."""
        return self._read.settings

    @property
    def summary(self) -> Record:
        """Contents of `summary.json`; empty where the run ended before there was any."""
        return dict(self._read.summary or {})

    @property
    def ledger(self) -> Spent:
        """Spending of the run.

        Raises:
            UsageError: it asked nobody.
        """
        if self._read.ledger is None:
            raise UsageError(f"{self.run} holds no ledger: it asked no oracle")
        return Spent.of(self._read.ledger)

    def rows(self) -> list[Record]:
        """One record for each row of `to_frame`."""
        return [self.summary]

    def to_frame(self) -> Any:
        """The rows as a `pandas.DataFrame`.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ModuleNotFoundError as error:
            raise UsageError("to_frame needs pandas; install it with: pip install pandas") from error
        return pandas.DataFrame(self.rows())

    def overview(self) -> dict[str, str]:
        """The run in a few words, for people."""
        spent = {} if self._read.ledger is None else {"spent": str(self.ledger)}
        return {"run": str(self.run), "status": self.status} | spent

    def __repr__(self) -> str:
        """The overview in one line."""
        return f"{type(self).__name__}({'; '.join(f'{key}: {value}' for key, value in self.overview().items())})"

    def _repr_html_(self) -> str:
        """The overview as a table, for notebooks."""
        return html_table([list(pair) for pair in self.overview().items()])


def html_table(rows: list[list[str]], head: list[str] | None = None) -> str:
    """A plain HTML table; everything in it is escaped."""
    top = "" if head is None else f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>"
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"


def percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.1f} %"
