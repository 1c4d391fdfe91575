"""From `result.json` to the capacity table in docs/deployment.md: `python -m experiments.serving.table`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULT = Path(__file__).with_name("result.json")
NOTES = Path(__file__).parents[2] / "docs" / "deployment.md"
BEGIN, END = "<!-- capacity: written by experiments/serving/table.py -->", "<!-- end of capacity -->"

_HEAD = """\
| method | requests at once | queries/s | of the bare oracle's | answers/s | p50 | p99 | images a call | certified | \
queries a certificate | price | memory |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def table(result: dict[str, Any]) -> str:
    """The table, with what was measured above it."""
    rows = "".join(_row(step) for step in result["steps"])
    errors = sum(step["errors"] for step in result["steps"])
    requests = sum(step["requests"] for step in result["steps"])
    raw = " and ".join(f"{rate:,}" for rate in result["raw_queries_per_second"])
    return (
        f"`{result['oracle']}`, sigma {result['sigma']:g}, {result['processors']} processors ({result['machine']}), "
        f"shared with the client; {result['seconds_a_step']:g} seconds a row, {requests:,} requests, {errors} errors. "
        f"The bare oracle answers {raw} queries a second there, before and after. Price: USD for a certificate at "
        f"{result['price_per_1000']:g} USD for 1,000 queries, abstentions included. Memory: resident, in MiB, at the "
        f"begin and the end of the row.\n\n{_HEAD}{rows}"
    )


def fill(result: dict[str, Any], notes: Path = NOTES) -> None:
    """Put the table into the notes, in the place of the one that is there."""
    text = notes.read_text()
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{notes} has no place for the table, between {BEGIN} and {END}")
    notes.write_text(f"{before}{BEGIN}\n{table(result)}{END}{after}")


def _row(step: dict[str, Any]) -> str:
    memory = step["memory_mib"]
    cells = (
        step["plan"],
        step["concurrency"],
        f"{step['queries_per_second']:,.0f}",
        f"{100 * step['share_of_raw_rate']:.0f} %",
        f"{step['requests_per_second']:.1f}",
        _time(step["seconds_p50"]),
        _time(step["seconds_p99"]),
        f"{step['images_a_call']:.0f}",
        f"{100 * step['certified']:.0f} %",
        f"{step['queries_a_certificate']:,.0f}",
        f"{step['price_a_certificate']:.2f}",
        f"{memory[0]} to {memory[-1]}",
    )
    return f"| {' | '.join(map(str, cells))} |\n"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


if __name__ == "__main__":
    fill(json.loads(RESULT.read_text()))
