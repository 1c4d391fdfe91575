"""Tables of one run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bbsmooth.reporting.model import Cell, Column, Fact, Table
from bbsmooth.reporting.numbers import duration, length, mebibytes, money, percent, shortened
from bbsmooth.reporting.scope import decided_radii, told
from bbsmooth.reporting.words import proven_word
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.reading import Run

_LONGEST = 2000


def accuracy_table(summary: Record) -> Table | None:
    """Certified accuracy at each radius of a summary with its interval, or without labels certified answers."""
    curve = told(summary)
    if not curve:
        return None
    what = proven_word(summary)
    keys = ("value", "low", "high") if curve[0]["low"] is not None else ("value",)
    titles = {"value": what, "low": f"{100 * summary['confidence']:g} % from", "high": "to"}
    columns = (Column("radius", "radius"), *(Column(key, titles[key]) for key in keys))
    rows = tuple((_radius(row["radius"]), *(Cell(percent(row[key]), row[key]) for key in keys)) for row in curve)
    return Table("accuracy", what.capitalize(), columns, rows)


def decisions_table(summary: Record) -> Table | None:
    """At each radius how many images it is certified, refuted or undecided for, where radii were decided one by one."""
    if not summary.get("decisions"):
        return None
    states = [key for key in summary["decisions"][0] if key != "radius"]
    columns = (Column("radius", "radius"), *(Column(state, state) for state in states))
    rows = tuple(
        (_radius(row["radius"]), *(Cell(f"{row[state]:,}", row[state]) for state in states))
        for row in summary["decisions"]
    )
    return Table("decisions", "Images by what is known at each radius", columns, rows)


def training_table(summary: Record) -> Table | None:
    """Table of costs and results of training with gradients; None before it came to its end."""
    parameters = summary.get("parameters")
    if parameters is None:
        return None
    rows = (
        (Cell("trained parameters", "trained"), Cell(f"{parameters['trained']:,}", parameters["trained"])),
        (Cell("all parameters", "all"), Cell(f"{parameters['all']:,}", parameters["all"])),
        (Cell("share that is trained", "share"), Cell(percent(parameters["share"]), parameters["share"])),
        (Cell("epochs", "epochs"), Cell(f"{summary['epochs']:,}", summary["epochs"])),
        *(
            (Cell(word, key), Cell(say(summary[key]), summary[key]))
            for key, word, say in (
                ("seconds_per_epoch", "time of an epoch", duration),
                ("peak_memory_bytes", "peak memory", mebibytes),
                ("clean_accuracy", "accuracy on clean test images", percent),
                ("noisy_accuracy", "accuracy on noisy test images", percent),
            )
            if summary.get(key) is not None
        ),
    )
    columns = (Column("item", "", numeric=False), Column("amount", "amount"))
    return Table("training", "What training took and gave", columns, rows)


def ledger_table(ledger: Record) -> Table:
    """Table of what was spent, by purpose; an entry that the ledger does not hold is left out."""
    rows = [(purpose, queries) for purpose, queries in ledger["spent"].items() if queries]
    cells = [(Cell(purpose, purpose), Cell(f"{queries:,}", queries)) for purpose, queries in rows]
    cells.append((Cell("queries in all", "total"), Cell(f"{ledger['spent_total']:,}", ledger["spent_total"])))
    if ledger["left"] is not None:
        cells.append((Cell("queries left", "left"), Cell(f"{ledger['left']:,}", ledger["left"])))
    for key in ("attempts", "retries", "bytes"):
        if ledger.get(key):
            cells.append((Cell(key, key), Cell(f"{ledger[key]:,}", ledger[key])))
    for name, value in (ledger.get("latency") or {}).items():
        cells.append((Cell(f"latency {name}, seconds", f"latency {name}"), Cell(f"{value:,.3g}", value)))
    if ledger.get("batched"):
        cells.append((Cell("of these by batch", "batched"), Cell(f"{ledger['batched']:,}", ledger["batched"])))
    cells += [*_usage_cells(ledger.get("usage") or {}), *_price_cells(ledger)]
    columns = (Column("item", "", numeric=False), Column("amount", "amount"))
    return Table("ledger", "Ledger", columns, tuple(cells))


def _usage_cells(usage: Record) -> Iterator[tuple[Cell, Cell]]:
    """Tokens that replies told: of all of them, then of their kinds."""
    for name, value in usage.items():
        kind = {"batched": " by batch", "without_answer": " of replies without an answer"}.get(name)
        for part, number in {name: value}.items() if kind is None else value.items():
            words = "answers that tell tokens" if part == "answers" else part.replace("_", " ")
            key = part if kind is None else f"{name} {part}"
            yield Cell(f"{words}{kind or ''}", key), Cell(f"{number:,}", number)


def _price_cells(ledger: Record) -> Iterator[tuple[Cell, Cell]]:
    """Prices, and what they come to."""
    if ledger["price_per_1000"]:
        yield Cell("price of 1,000", "price_per_1000"), _price(ledger["price_per_1000"])
        if (cheap := ledger.get("batch_price_per_1000")) is not None:
            yield Cell("price of 1,000 by batch", "batch_price_per_1000"), _price(cheap)
    if (table := ledger.get("prices")) is not None:
        for name in ("name", "date", "source", "currency"):
            if table.get(name):
                yield Cell(f"prices: {name}", f"prices {name}"), Cell(str(table[name]), str(table[name]))
        yield Cell("billed", "billed"), _price(ledger["billed"])
        yield Cell("worst case", "price"), _price(ledger["price"])
    elif ledger["price_per_1000"]:
        yield Cell("price in all", "price"), _price(ledger["price"])


def predictions_table(predictions: list[Record]) -> Table:
    """One row a file."""
    columns = (
        Column("file", "file", numeric=False),
        Column("prediction", "prediction", numeric=False),
        Column("votes", "votes for the leading class"),
        Column("p_value", "p-value"),
    )
    rows = []
    for entry in predictions:
        answer = "abstains" if entry["abstained"] else str(entry["name"])
        most, total = max(entry["counts"].values(), default=0), sum(entry["counts"].values())
        votes = Cell(f"{most:,} of {total:,}", most)
        rows.append((Cell(entry["file"], entry["file"]), Cell(answer, answer), votes, _p_value(entry["p_value"])))
    return Table("predictions", "Predictions", columns, tuple(rows))


def facts(run: Run) -> tuple[Fact, ...]:
    """Facts about a run, in short lines."""
    manifest, summary = run.manifest, run.summary or {}
    found = [Fact("run", run.place), Fact("made by", f"bbsmooth {run.command}"), Fact("status", run.status)]
    for key in ("oracle", "data"):
        if isinstance(manifest.get(key), dict):
            found.append(Fact(key, str(manifest[key]["name"])))
    for word, moment in (("started", manifest.get("started")), ("ended", manifest.get("ended"))):
        if moment:
            found.append(Fact(word, moment))
    if summary.get("acr") is not None:
        around = summary.get("acr_interval")
        ends = (
            f" ({length(around['low'])} to {length(around['high'])})"
            if around and summary.get("complete", True)
            else ""
        )
        found.append(Fact(_acr_word(run), f"{length(summary['acr'])}{ends}"))
    if summary.get("noisy_accuracy") is not None:
        what = "accuracy under noise" if run.command == "train" else "right votes under noise"
        found.append(Fact(what, percent(summary["noisy_accuracy"])))
    return tuple(found)


def _acr_word(run: Run) -> str:
    """Name of the average radius: a sequential run knows only which of the radii that it was asked about hold."""
    asked = decided_radii(run.certificates or [])
    return "average certified radius" + ("" if asked is None else ", of those asked about")


def manifest_table(manifest: Mapping[str, Any]) -> Table:
    """Every entry of the manifest on a line of its own, nested ones by their path."""
    columns = (Column("entry", "entry", numeric=False), Column("value", "value", numeric=False))
    entries = ((name, shortened(text, _LONGEST)) for name, text in _entries("", manifest))
    rows = tuple((Cell(name, name), Cell(text, text)) for name, text in entries)
    return Table("manifest", "Manifest", columns, rows)


def _entries(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        return [line for key, part in value.items() for line in _entries(f"{prefix}.{key}" if prefix else key, part)]
    if isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        return [line for place, part in enumerate(value) for line in _entries(f"{prefix}.{place}", part)]
    if isinstance(value, list):
        return [(prefix, ", ".join(map(str, value)))]
    return [(prefix, value if isinstance(value, str) else json.dumps(value))]


def _radius(radius: float) -> Cell:
    return Cell(f"{radius:g}", radius)


def _price(amount: float) -> Cell:
    return Cell(money(amount), amount)


def _p_value(value: float) -> Cell:
    return Cell(f"{value:.2g}", value)
