"""`bbsmooth compare`."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.places import reading
from bbsmooth.errors import UsageError

_TABLE = "What is shown"


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Two or more run directories, or their URLs.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write: .html, .md, .tex (booktabs), .tsv, .json, .png or .svg."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="text, html, md, tex, tsv, json, png or svg. Without it what --out ends on."),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,NAME,...", help="What to call the runs, one name each in their order.", rich_help_panel=_TABLE
        ),
    ] = None,
    radii: Annotated[
        list[str] | None,
        typer.Option(
            metavar="R,R,...",
            help="Radii at which certified accuracy is shown. Without it those that the runs list.",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,NAME,...",
            help="Columns of the table of runs, in their order, such as sigma,accuracy,acr,queries,price; accuracy "
            "stands for all radii. All that have something to say if left out.",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="The run that each other one is paired with, among RUN... or beside them; all pairs if left out.",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="GROUPS",
            help="Certified accuracy of each run by group, with intervals that hold for all groups of a run together: "
            "class, or FILE.csv:COLUMN, a row for each image of the data set.",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Set runs side by side: certified accuracy with intervals, paired differences, queries and money.

    A sequential run says nothing about radii that it was not asked about, and a run with missing images has no
    intervals. A .tex file holds tables that fit the text width of an article.
    """
    runs, place = _with_baseline(runs, baseline)
    with guarded(as_json=as_json or format == "json"), reading(runs) as folders:
        from bbsmooth.reporting.compare import compare as run
        from bbsmooth.reporting.comparison import ComparisonView

        choice = ComparisonView(
            names=_split(names),
            shown_radii=tuple(map(_radius, _split(radii))),
            columns=_split(columns),
            baseline=None if place is None else folders[place],
            groups=groups,
        )
        form = options.printed_form(format, out, as_json=as_json)
        made = run(folders, format=form, out=out, choice=choice)
        print(run(folders, format="json", out=None, choice=choice) if as_json and out is not None else made, end="")


def _with_baseline(runs: list[str], baseline: str | None) -> tuple[list[str], int | None]:
    """The runs, the baseline among them or in front of them, and its place."""
    if baseline is None:
        return runs, None
    same = [place for place, run in enumerate(runs) if _place(run) == _place(baseline)]
    named = [place for place, run in enumerate(runs) if PurePath(run).name == baseline]
    found = same or (named if len(named) == 1 else [])
    return (runs, found[0]) if found else ([baseline, *runs], 0)


def _place(run: str) -> str:
    return run.rstrip("/") if "://" in run else str(Path(run).resolve())


def _split(given: list[str] | None) -> tuple[str, ...]:
    return tuple(part.strip() for text in given or () for part in text.split(",") if part.strip())


def _radius(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"`shown_radii` must be numbers, as in 0.25,0.5,1, got {text!r}") from None
