"""The figure and the table of the study, from `results.json`: `python -m experiments.tuning.figure`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from experiments.tuning import targets
from experiments.tuning.arms import FREE
from experiments.tuning.run import CONTROL, RESULTS

FIGURE = Path(__file__).with_name("results.png")
TABLE = Path(__file__).with_name("results.md")
RADIUS = 0.5
_COLUMNS = (
    *("method", "queries", "feedback", "control, %", "noisy accuracy, %", "gain, points"),
    *("spread over seeds", "seeds", "standard error"),
)


def main() -> None:
    """Draw and write."""
    results = json.loads(RESULTS.read_text())
    draw(results)
    TABLE.write_text("\n".join([table(results), *targets.lines(results)]))


def table(results: dict[str, Any]) -> str:
    """Markdown, one table a world: the best first."""
    lines = []
    for world, found in results.items():
        lines += [
            f"## {world}",
            "",
            f"Bare oracle: {found['bare']} % noisy accuracy.",
            "",
            "| " + " | ".join(_COLUMNS) + " |",
            "| " + " | ".join("---" for _ in _COLUMNS) + " |",
        ]
        lines += [_line(row) for row in sorted(found["rows"], key=lambda row: -row["mean_gain"])]
        lines += ["", *_certified(found.get("certified", []))]
    return "\n".join(lines)


def _certified(rows: list[dict[str, Any]]) -> list[str]:
    """How many images are certified, in so many lines."""
    if not rows:
        return []
    columns = (
        *("method", "queries", "radius", "certified accuracy, %", "95 % interval", "gain, points", "standard error"),
        *("seeds", "images", "queries an image"),
    )
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    for row in sorted(rows, key=lambda row: (row["radius"], -row["certified"])):
        low, high = row["interval"]
        cells = (row["arm"], f"{row['queries']:,}", row["radius"], row["certified"], f"{low} to {high}")
        paired = (f"{row['gain']:+}", row["standard_error"], len(row["seeds"]))
        lines.append("| " + " | ".join(map(str, (*cells, *paired, row["images"], row["queries_an_image"]))) + " |")
    return [*lines, ""]


def _line(row: dict[str, Any]) -> str:
    spread = "" if row["spread_over_seeds"] is None else row["spread_over_seeds"]
    gained = (
        row["control"],
        row["accuracy"],
        f"{row['mean_gain']:+}",
        spread,
        len(row["seeds"]),
        row["standard_error"],
    )
    return "| " + " | ".join(map(str, (row["arm"], f"{row['queries']:,}", row["feedback"], *gained))) + " |"


def draw(results: dict[str, Any]) -> None:
    """Against queries: noisy accuracy above, certified accuracy below; controls and references as lines across."""
    figure, all_axes = plt.subplots(2, len(results), figsize=(6 * len(results), 9), squeeze=False)
    for (above, below), (world, found) in zip(all_axes.T, results.items(), strict=True):
        noisy = [row for row in found["rows"] if row["feedback"] in ("none", "logits")]
        _curves(above, noisy, "accuracy")
        above.set(ylabel="noisy accuracy, %", title=f"{world} (bare {found['bare']} %)")
        certified = [row for row in found.get("certified", []) if row["radius"] == RADIUS]
        _curves(below, certified, "certified")
        below.set(ylabel=f"certified accuracy at radius {RADIUS:g}, %")
    figure.tight_layout()
    figure.savefig(FIGURE, dpi=110)


def _curves(axes: Axes, rows: list[dict[str, Any]], what: str) -> None:
    axes.set_prop_cycle(color=matplotlib.colormaps["tab20"](range(20)))
    for arm in sorted({row["arm"] for row in rows}):
        own = sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["queries"])
        if arm in FREE:
            axes.axhline(own[0][what], linestyle="-" if arm == CONTROL else ":", color="grey", linewidth=1)
            axes.annotate(arm, (1, own[0][what]), xycoords=("axes fraction", "data"), fontsize=7)
        else:
            errors = [row.get("spread_over_seeds") or row["standard_error"] for row in own]
            queries = [row["queries"] for row in own]
            axes.errorbar(queries, [row[what] for row in own], errors, marker="o", capsize=3, label=arm)
    axes.set(xscale="log", xlabel="queries")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=7)


if __name__ == "__main__":
    main()
