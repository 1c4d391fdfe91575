"""The figure and the table of the study, from `results.json`: `python -m experiments.tuning.figure`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from experiments.tuning import targets
from experiments.tuning.arms import FREE
from experiments.tuning.run import CONTROL, RESULTS

FIGURE = Path(__file__).with_name("results.png")
TABLE = Path(__file__).with_name("results.md")
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
    columns = ("method", "queries", "radius", "certified accuracy, %", "95 % interval", "images", "queries an image")
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    for row in sorted(rows, key=lambda row: -row["certified"]):
        low, high = row["interval"]
        cells = (row["arm"], f"{row['queries']:,}", row["radius"], row["certified"], f"{low} to {high}")
        lines.append("| " + " | ".join(map(str, (*cells, row["images"], row["queries_an_image"]))) + " |")
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
    """Noisy accuracy against queries, controls and references as lines across."""
    figure, all_axes = plt.subplots(1, len(results), figsize=(7 * len(results), 4.5), squeeze=False)
    for axes, (world, found) in zip(all_axes[0], results.items(), strict=True):
        axes.set_prop_cycle(color=matplotlib.colormaps["tab20"](range(20)))
        for arm in sorted({row["arm"] for row in found["rows"]}):
            rows = [row for row in found["rows"] if row["arm"] == arm and row["feedback"] in ("none", "logits")]
            if arm in FREE:
                style = "-" if arm == CONTROL else ":"
                axes.axhline(rows[0]["accuracy"], linestyle=style, color="grey", linewidth=1)
                axes.annotate(arm, (1, rows[0]["accuracy"]), xycoords=("axes fraction", "data"), fontsize=7)
            elif rows:
                rows.sort(key=lambda row: row["queries"])
                errors = [row["spread_over_seeds"] or row["standard_error"] for row in rows]
                queries = [row["queries"] for row in rows]
                axes.errorbar(queries, [row["accuracy"] for row in rows], errors, marker="o", capsize=3, label=arm)
        axes.set(xscale="log", xlabel="queries", ylabel="noisy accuracy, %", title=f"{world} (bare {found['bare']} %)")
        axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(FIGURE, dpi=130)


if __name__ == "__main__":
    main()
