"""Findings of a run, in the form that one asks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bbsmooth.errors import UsageError
from bbsmooth.reporting import exports, single
from bbsmooth.reporting.groups import by_group, groups_section
from bbsmooth.reporting.model import Chart
from bbsmooth.reporting.page import page
from bbsmooth.reporting.terminal import to_text
from bbsmooth.reporting.tex import to_tex
from bbsmooth.reporting.text import run_log, text_of
from bbsmooth.runs.files import refuse_no_folder, write_bytes
from bbsmooth.runs.issuing import read_issued
from bbsmooth.runs.reading import Run, read_run, run_json

FILES = ("html", "png", "svg")
"""Forms that are written to a file; the others are printed where no file is named."""

FORMATS = (*FILES, "text", "tsv", "json", "md", "tex")


def report(
    run: Path,
    *,
    format: str | None,
    out: Path | None,
    pictured: int,
    attacks: Sequence[Path] = (),
    groups: str | None = None,
) -> str:
    """Write the report, and return what there is to print.

    Args:
        run: the run directory.
        format: one of `FORMATS`; None for what the name `out` ends on, or html.
        out: the file to write; None prints, and for `FILES` writes `report.*` in the run directory.
        pictured: most images of a page that get pictures.
        attacks: runs of `bbsmooth attack` on this one, for its page or figure.
        groups: by which certified accuracy is split, see `bbsmooth.reporting.groups`; None for not at all.

    Raises:
        UsageError: an unknown form, or a run that has not what the form shows.
        DataError: groups that cannot be read.
        OSError: the file cannot be written.
    """
    form = format_of(format, out)
    if groups is not None and form in ("png", "svg", "tsv"):
        raise UsageError(f"`groups` goes with html, text, json, md and tex, not with {form}; leave it out")
    if attacks and form not in FILES:
        raise UsageError(f"`attacks` goes with html, png and svg, not with {form}; leave it out")
    if out is None and form not in FILES:
        return _printed(run, form, groups).decode()
    found, attacked = read_issued(run), [read_run(path) for path in attacks]
    single.refuse_foreign(found, attacked)
    file = out or run / f"report.{form}"
    write_bytes(file, _file(found, form, pictured, attacked, groups))
    return f"{_text(found, groups)}\n\nreport: {file}\n"


def format_of(
    format: str | None, out: Path | None, *, formats: tuple[str, ...] = FORMATS, default: str = "html"
) -> str:
    """The form that is asked for, by name or by how a file's name ends.

    Raises:
        UsageError: there is none of that name, or no folder for the file.
    """
    if out is not None:
        refuse_no_folder(out)
    form = format or (out.suffix.removeprefix(".") if out is not None else default)
    form = {"txt": "text", "htm": "html"}.get(form, form)
    if form not in formats:
        asked = f"`format` must be one of {', '.join(formats)}, got {form!r}"
        raise UsageError(asked if format or out is None else f"{asked} from `out` {out.name}; give `format`")
    return form


def _printed(run: Path, form: str, groups: str | None) -> bytes:
    """The forms that need no pictures."""
    forms: dict[str, Callable[[], str]] = {
        "text": lambda: _text(read_issued(run), groups) + "\n",
        "tsv": lambda: run_log(run),
        "json": lambda: json.dumps(_json(run, groups)) + "\n",
        "md": lambda: exports.to_markdown(single.document(read_issued(run), pictured=0, groups=groups)),
        "tex": lambda: to_tex(single.document(read_issued(run), pictured=0, groups=groups)),
    }
    return forms[form]().encode(errors="replace")


def _text(run: Run, groups: str | None) -> str:
    """What a terminal shows, with the table of groups where they are wanted."""
    text = text_of(run)
    if groups is None:
        return text
    section = groups_section(run, groups)
    return "\n".join([text, "", to_text(section.tables), *section.words])


def _json(run: Path, groups: str | None) -> dict[str, Any]:
    """What the run's files say, and `groups` where they are wanted."""
    found = run_json(run)
    return found if groups is None else {**found, "groups": by_group(read_issued(run), groups)}


def _file(run: Run, form: str, pictured: int, attacks: Sequence[Run], groups: str | None) -> bytes:
    if form == "html":
        return page(single.document(run, pictured=pictured, attacks=attacks, groups=groups))
    if form in ("png", "svg"):
        from bbsmooth.reporting.paper import picture  # and matplotlib, which only figures need

        return picture(_charts(run, attacks), form)
    return _printed(run.path, form, groups)


def _charts(run: Run, attacks: Sequence[Run]) -> tuple[Chart, ...]:
    curve = single.accuracy(run, attacks) or single.attack_chart(run)
    charts = (curve,) if curve else single.history(run)
    if not charts:
        raise UsageError(f"{run.path} holds neither certificates nor a history, so there is no figure")
    return charts
