"""The table over several runs: one row a run, one column for whatever at least one of them has to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bbsmooth.errors import UsageError
from bbsmooth.reporting import charts
from bbsmooth.reporting.lineage import spent_before
from bbsmooth.reporting.model import EMPTY, NOT_ASKED, Cell, Column, Table
from bbsmooth.reporting.numbers import duration, length, money, percent
from bbsmooth.reporting.scope import decided_radii, missing, progress, speaks_at
from bbsmooth.reporting.words import norm_word
from bbsmooth.runs.reading import Run

Say = Callable[[Run], Cell]


def runs_table(runs: Sequence[Run], names: Sequence[str], radii: Sequence[float]) -> Table:
    """All runs. Columns in which no run has anything to say are left out."""
    told: list[tuple[Column, Say]] = [
        (Column("made_by", "made by", numeric=False), lambda run: _text(run.command)),
        (Column("method", "method", numeric=False), lambda run: _text(_method(run))),
        (Column("oracle", "oracle", numeric=False), lambda run: _text(run.oracle and run.oracle["name"])),
        (Column("data", "data", numeric=False), lambda run: _text(run.data and run.data["name"])),
        (Column("sigma", "sigma"), lambda run: _number(_sigma(run))),
        (Column("alpha", "alpha"), lambda run: _number(run.settings.get("alpha"))),
        (Column("images", "images"), _images),
        (Column("labels", "labels", numeric=False), lambda run: _text("of the oracle" if own_labels(run) else None)),
        (Column("norm", "norm", numeric=False), lambda run: _text(norm_word(run.certificates) or None)),
        *((Column(f"r={radius:g}", f"r = {radius:g}", interval=True), _certified(radius)) for radius in radii),
        (Column("acr", "ACR"), _acr),
        (Column("abstained", "abstained"), lambda run: _count(_summary(run, "abstained"))),
        (Column("trained", "trained parameters"), lambda run: _count(_parameters(run))),
        (Column("clean_accuracy", "clean accuracy"), lambda run: _share(_summary(run, "clean_accuracy"))),
        (Column("noisy_accuracy", "right under noise"), lambda run: _share(_summary(run, "noisy_accuracy"))),
        (Column("heldout_start", "held-out before"), lambda run: _share(_summary(run, "heldout_accuracy_start"))),
        (Column("heldout_best", "held-out after"), lambda run: _share(_summary(run, "heldout_accuracy_best"))),
        (Column("queries", "queries"), lambda run: _count(_spent(run, "spent_total"))),
        (Column("coordinator_queries", "queries of its coordinator"), _of_coordinator),
        (Column("price", "price, coordinator included"), _price),
        (Column("seconds", "time"), lambda run: _seconds(_summary(run, "seconds"))),
    ]
    columns, cells = [Column("run", "run", numeric=False)], [[Cell(name, name)] for name in names]
    for column, say in told:
        found = [say(run) for run in runs]
        if any(cell.value is not None for cell in found):
            columns.append(column)
            for row, cell in zip(cells, found, strict=True):
                row.append(cell)
    return Table("runs", "Runs", tuple(columns), tuple(map(tuple, cells)), sortable=True)


def chosen_columns(table: Table, chosen: Sequence[str]) -> Table:
    """The table of runs with the columns that are named, in their order; with all where none is.

    Args:
        table: of `runs_table`.
        chosen: names of columns; `accuracy` stands for all of certified accuracy.

    Raises:
        UsageError: there is no column of that name.
    """
    if not chosen:
        return table
    known = [column.name for column in table.columns]
    groups = {name: [name] for name in known} | {"accuracy": [name for name in known if name.startswith("r=")]}
    if unknown := [name for name in chosen if name not in groups]:
        raise UsageError(f"`columns` must be among {', '.join(groups)}, got {unknown[0]!r}")
    names = dict.fromkeys(["run", *(name for group in chosen for name in groups[group])])
    places = [known.index(name) for name in names]
    rows = tuple(tuple(row[place] for place in places) for row in table.rows)
    return replace(table, columns=tuple(table.columns[place] for place in places), rows=rows)


def _certified(radius: float) -> Say:
    def say(run: Run) -> Cell:
        if not run.certificates or any(record["label"] is None for record in run.certificates):
            return EMPTY
        if not speaks_at(run.certificates, radius):
            return NOT_ASKED
        point = charts.certified_point(charts.correct_radii(run.certificates), radius, whole=not missing(run))
        around = "" if point.low is None or point.high is None else f"{100 * point.low:.1f} to {100 * point.high:.1f}"
        part = f" of {len(run.certificates):,}" if missing(run) else ""
        return Cell(f"{percent(point.y)}{f' ({around})' if around else part}", point.y, point.low, point.high)

    return say


def _images(run: Run) -> Cell:
    done = len(run.certificates or [])
    return Cell(progress(run) or f"{done:,}", done) if done else EMPTY


def _acr(run: Run) -> Cell:
    """The average over all radii, of which a sequential run knows only some, and an unfinished one of some images."""
    if decided_radii(run.certificates or []) is not None or (missing(run) and run.certificates):
        return NOT_ASKED
    acr = _summary(run, "acr")
    return EMPTY if acr is None else Cell(length(acr), acr)


def own_labels(run: Run) -> bool:
    """True where right means: as the oracle says without noise."""
    return (run.summary or {}).get("labels") == "oracle"


def _method(run: Run) -> str | None:
    methods = {str(record["method"]) for record in run.certificates or [] if "method" in record}
    return ", ".join(sorted(methods)) or run.settings.get("method")


def _of_coordinator(run: Run) -> Cell:
    if not run.manifest.get("coordinator"):
        return EMPTY
    queries = spent_before(run, "spent_total")
    return Cell("unknown", None) if queries is None else _count(queries)


def _price(run: Run) -> Cell:
    own, before = _spent(run, "price"), spent_before(run, "price")
    ledger = run.ledger or {}
    known = own is not None and before is not None and (ledger["price_per_1000"] or "billed" in ledger)
    return Cell(money(own + before), own + before) if known and own is not None and before is not None else EMPTY


def _spent(run: Run, key: str) -> float | None:
    return None if run.ledger is None else run.ledger[key]


def _summary(run: Run, key: str) -> float | None:
    return None if run.summary is None else run.summary.get(key)


def _parameters(run: Run) -> int | None:
    """Of a run that trained with gradients: how many it changed."""
    return None if run.command != "train" else ((run.summary or {}).get("parameters") or {}).get("trained")


def _text(text: str | None) -> Cell:
    return EMPTY if text is None else Cell(text, text)


def _sigma(run: Run) -> float | None:
    """The sigma; of a plan that chose it, what it chose."""
    sigma = run.settings.get("sigma")
    return (run.summary or {}).get("sigma") if isinstance(sigma, str) else sigma


def _number(number: float | None, form: str = "g") -> Cell:
    return EMPTY if number is None else Cell(format(number, form), number)


def _count(number: float | None) -> Cell:
    return EMPTY if number is None else Cell(f"{number:,}", number)


def _share(share: float | None) -> Cell:
    return EMPTY if share is None else Cell(percent(share), share)


def _seconds(seconds: float | None) -> Cell:
    return EMPTY if seconds is None else Cell(duration(seconds), seconds)
