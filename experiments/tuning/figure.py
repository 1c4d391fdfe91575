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
from experiments.tuning.run import CONTROL, RESULTS

FIGURE = Path(__file__).with_name("results.png")
TABLE = Path(__file__).with_name("results.md")
RADIUS = 0.5
QUERIES = (3_500, 700_000)
TICKS = (-30, -10, -3, -1, 0, 1, 3, 10)
REFERENCES = {"first-order": ":", "denoiser-longer": "--", "fine-tuning": "-."}
SHOWN = {
    arm: matplotlib.colormaps["tab10"](place)
    for place, arm in enumerate(("equaliser", "spsa-gc", "blackvip", "zo-ds", "zo-ae-ds-rge", "zo-ae-ds-cge"))
}
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
    """Points more than the denoiser against queries: noisy accuracy above, certified accuracy below."""
    worlds = sorted(results)
    figure, all_axes = plt.subplots(
        2, len(worlds), figsize=(4 * len(worlds), 7), sharex=True, sharey=True, squeeze=False
    )
    for (above, below), world in zip(all_axes.T, worlds, strict=True):
        noisy = [row | {"gain": row["mean_gain"]} for row in results[world]["rows"] if row["feedback"] != "labels"]
        _curves(above, noisy)
        above.set(title=f"{world} (bare {results[world]['bare']} %)")
        certified = results[world].get("certified", [])
        radius = max((row["radius"] for row in certified if row["radius"] <= RADIUS), default=RADIUS)
        _curves(below, [row for row in certified if row["radius"] == radius])
        below.set(xlabel="queries", title=f"certified at radius {radius:g}", xscale="log", xlim=QUERIES)
    for axes, what in zip(all_axes[:, 0], ("noisy", "certified"), strict=True):
        axes.set(ylabel=f"gain in {what} accuracy, points")
    lines = {
        label: line for axes in all_axes.flat for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(lines.values(), lines.keys(), loc="lower center", ncols=5)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(FIGURE, dpi=100)


def _curves(axes: Axes, rows: list[dict[str, Any]]) -> None:
    axes.axhline(0, color="grey", linewidth=1, label=CONTROL)
    for arm, style in REFERENCES.items():
        for row in rows:
            if row["arm"] == arm:
                axes.axhline(row["gain"], linestyle=style, color="grey", linewidth=1, label=arm)
    for place, (arm, colour) in enumerate(SHOWN.items()):
        own = sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["queries"])
        errors = [row.get("spread_over_seeds") or row["standard_error"] for row in own]
        if own:
            queries, gains = [row["queries"] * 1.08**place for row in own], [row["gain"] for row in own]
            axes.errorbar(queries, gains, errors, marker="o", capsize=3, color=colour, label=arm)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_yticks(TICKS, [f"{tick:+}" if tick else "0" for tick in TICKS])


if __name__ == "__main__":
    main()
