"""One table and one figure over several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bbsmooth.errors import UsageError
from bbsmooth.reporting import comparison, exports
from bbsmooth.reporting.comparison import ALL, ComparisonView
from bbsmooth.reporting.model import Document, Table
from bbsmooth.reporting.page import page
from bbsmooth.reporting.report import format_of
from bbsmooth.reporting.terminal import to_text
from bbsmooth.reporting.tex import to_tex
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.issuing import read_issued

FORMATS = ("text", "html", "md", "tex", "tsv", "json", "png", "svg")


def compare(paths: Sequence[Path], *, format: str | None, out: Path | None, choice: ComparisonView = ALL) -> str:
    """Compare runs, and return what there is to print.

    Args:
        paths: run directories.
        format: one of `FORMATS`; None for what the name `out` ends on, or text.
        out: the file to write, None to print; a page or figure needs one.
        choice: which names, radii, columns and pairs are shown.

    Raises:
        UsageError: what cannot be compared, an unknown form, or no file where one is needed.
        OSError: the file cannot be written.
    """
    form = format_of(format, out, formats=FORMATS, default="text")
    if choice.groups is not None and form in ("png", "svg", "tsv"):
        raise UsageError(f"`groups` goes with html, text, json, md and tex, not with {form}; leave it out")
    document = comparison.document([read_issued(path) for path in paths], choice)
    if out is None:
        if form in ("html", "png", "svg"):
            raise UsageError(f"`format` {form} needs a file; name one with `out`")
        return _text(document, form, choice)
    pictured = form in ("html", "png", "svg")
    write_bytes(out, _bytes(document, form) if pictured else _text(document, form, choice).encode(errors="replace"))
    return f"{_text(document, 'text', choice)}\ncomparison: {out}\n"


def _bytes(document: Document, form: str) -> bytes:
    if form == "html":
        return page(document)
    charts = [chart for section in document.sections for chart in section.charts]
    if not charts:
        raise UsageError("these runs hold neither labelled certificates nor a history, so there is no figure")
    from bbsmooth.reporting.paper import picture  # and matplotlib, which only figures need

    return picture(charts, form)


def _text(document: Document, form: str, choice: ComparisonView) -> str:
    tables: list[Table] = [table for section in document.sections for table in section.tables]
    match form:
        case "md":
            return exports.to_markdown(document)
        case "tex":
            return to_tex(document, compact=not choice.columns)
        case "tsv":
            return exports.to_tsv(tables[0])
        case "json":
            return exports.to_json(tables, ("differences",)) + "\n"
        case _:
            return to_text(tables) + "\n"
