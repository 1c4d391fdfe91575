"""What the study was to show, held against what it measured, and what stands between the two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bbsmooth.tuning.automatic import choose
from experiments.tuning.run import CONTROL
from oracles import Feedback

MATCHED, REFERENCE, INSIDE = "denoiser-longer", "first-order", "first-order-equaliser"
FROM_MATCHED, FINE_TUNED = "longer-equaliser", "fine-tuning"
_SHAPES = {"local-vit": (1, 28, 28), "resnet20": (3, 32, 32)}
_SHARES = (
    ("local-vit 1", 20_000, "logits", 0.6),
    ("local-vit 1", 100_000, "logits", 0.8),
    ("resnet20 0.25", 100_000, "logits", 0.5),
    ("resnet20 0.25", 100_000, "labels", 1 / 3),
    ("resnet20 0.5", 100_000, "logits", 0.5),
    ("resnet20 0.5", 100_000, "labels", 1 / 3),
)
_ANCESTORS_SPEND = 500_000
_ANCESTORS = (("blackvip", 10), ("zo-ae-ds-rge", 3), ("zo-ae-ds-cge", 3))


@dataclass(frozen=True, slots=True)
class Found:
    """The results of one world.

    Args:
        world: its name and sigma.
        rows: of `results.json`.
        certified: likewise.
    """

    world: str
    rows: Sequence[dict[str, Any]]
    certified: Sequence[dict[str, Any]]

    def row(self, arm: str, queries: int, feedback: str) -> dict[str, Any] | None:
        """That row, None where it was not measured."""
        wanted = (arm, queries, feedback)
        return next((row for row in self.rows if (row["arm"], row["queries"], row["feedback"]) == wanted), None)

    def gain(self, arm: str, queries: int = 0, feedback: str = "none") -> float | None:
        """Over the control, in points."""
        row = self.row(arm, queries, feedback)
        return None if row is None else float(row["mean_gain"])

    def auto(self, queries: int, feedback: str) -> str:
        """What `auto` picks."""
        shape = _SHAPES[self.world.split()[0]]
        return choose(queries=queries, feedback=Feedback(feedback), image_shape=shape).method


def lines(results: dict[str, Any]) -> Iterator[str]:
    """Markdown: a list of targets, then a list of limits."""
    every = [Found(world, found["rows"], found.get("certified", [])) for world, found in results.items()]
    yield from ("## Targets", "")
    yield from (f"- {_never_below(found)}" for found in every)
    for world, queries, feedback, wanted in _SHARES:
        yield f"- {_closed(next((found for found in every if found.world == world), None), queries, feedback, wanted)}"
    yield from (f"- {_overtakes(found, *ancestor)}" for found in every for ancestor in _ANCESTORS)
    yield from ("", "## Certified accuracy", "")
    yield from (f"- {line}" for found in every for line in _certified(found))
    yield from ("", "## What limits the gain", "")
    yield from (f"- {_limits(found)}" for found in every)
    yield ""


def _never_below(found: Found) -> str:
    """Beside the denoiser that `auto` starts from, and beside one with matched local training, from which it starts."""
    fair = {CONTROL: _auto_gains(found), MATCHED: _gains(found, FROM_MATCHED)}
    told = {start: gains for start, gains in fair.items() if gains}
    if not told:
        return f"{found.world}: `auto` was not run."
    controls = {start: found.gain(start) or 0.0 for start in told}
    held = {start: sum(gain >= controls[start] for gain in gains) for start, gains in told.items()}
    verdict = "met" if all(held[start] == len(gains) for start, gains in told.items()) else "missed"
    parts = [
        f"from `{start}` ({controls[start]:+.2f} points) {held[start]} of {len(gains)} runs are not below it"
        for start, gains in told.items()
    ]
    return f"{found.world}, `auto` is never below the control that it starts from: {verdict}; {'; '.join(parts)}."


def _auto_gains(found: Found) -> list[float]:
    return [
        gain
        for row in found.rows
        if row["queries"] and row["arm"] == found.auto(row["queries"], row["feedback"])
        for gain in row["gains"]
    ]


def _gains(found: Found, arm: str) -> list[float]:
    return [gain for row in found.rows if row["arm"] == arm for gain in row["gains"]]


def _closed(found: Found | None, queries: int, feedback: str, wanted: float) -> str:
    what = f"`auto` closes {wanted:.0%} of the gap with {queries:,} queries, {feedback}"
    if found is None:
        return f"{what}: not measured."
    arm, reference = found.auto(queries, feedback), found.gain(REFERENCE)
    measured = [q for q in (queries, 20_000) if q <= queries and found.gain(arm, q, feedback) is not None]
    if not measured or reference is None:
        return f"{found.world}, {what}: not measured."
    control, gain = found.gain(MATCHED) or 0.0, found.gain(arm, measured[0], feedback) or 0.0
    share = (gain - control) / (reference - control)
    reached = "met" if share >= wanted else "missed"
    verdict = reached if measured[0] == queries or share >= wanted else "not measured at that budget"
    return (
        f"{found.world}, {what}: {verdict}. With {measured[0]:,} it gains {gain:+.2f} of {reference:+.2f} points;"
        f" {share:.0%} of what is beyond matched local training ({control:+.2f})."
    )


def _overtakes(found: Found, ancestor: str, times: int) -> str:
    what = f"{found.world}, `auto` reaches {ancestor} with 1/{times} of its queries"
    rows = [row for row in found.rows if row["arm"] == ancestor and row["feedback"] == "logits"]
    if not rows:
        return f"{what}: not measured, {ancestor} was not run."
    most = max(rows, key=lambda row: row["queries"])
    own = [
        row
        for row in found.rows
        if row["feedback"] == "logits" and row["queries"] and row["arm"] == found.auto(row["queries"], "logits")
    ]
    enough = [row for row in own if row["accuracy"] >= most["accuracy"]]
    if not enough:
        return f"{what}: missed, {ancestor} has {most['accuracy']} % after {most['queries']:,}."
    first = min(enough, key=lambda row: row["queries"])
    verdict = "met" if first["queries"] * times <= most["queries"] else "not settled at the budgets measured"
    unspent = "" if most["queries"] >= _ANCESTORS_SPEND else f"; {_ANCESTORS_SPEND:,} were not spent"
    return (
        f"{what}: {verdict}. {ancestor} has {most['accuracy']} % after {most['queries']:,} queries, `auto`"
        f" {first['accuracy']} % after {first['queries']:,}{unspent}."
    )


def _certified(found: Found) -> Iterator[str]:
    """What `auto` and the reference gain in certified accuracy, by radius."""
    for row in found.certified:
        if row["arm"] != found.auto(row["queries"], "logits") or not row["queries"]:
            continue
        others = {one["arm"]: one["gain"] for one in found.certified if one["radius"] == row["radius"]}
        told = [f"{others[arm]:+.2f} by {arm}" for arm in (REFERENCE, MATCHED, FINE_TUNED) if arm in others]
        yield (
            f"{found.world}, radius {row['radius']:g}: {row['queries']:,} queries gain {row['gain']:+.2f} points of"
            f" certified accuracy (standard error {row['standard_error']}, seeds {', '.join(map(str, row['seeds']))})"
            + (f"; {', '.join(told)}." if told else ".")
        )


def _limits(found: Found) -> str:
    whole, inside = found.gain(REFERENCE), found.gain(INSIDE)
    arm = found.auto(20_000, "logits")
    gains = [(row["queries"], row) for row in found.rows if row["arm"] == arm and row["feedback"] == "logits"]
    if whole is None or inside is None or not gains:
        return f"{found.world}: not measured."
    queries, row = max(gains, key=lambda one: one[0])
    spread = "" if row["spread_over_seeds"] is None else f", spread over seeds {row['spread_over_seeds']}"
    return (
        f"{found.world}: first-order training of all decoder weights and the equaliser gains {whole:+.2f} points, of"
        f" the equaliser alone {inside:+.2f}: capacity accounts for {whole - inside:.2f}. In that space {queries:,}"
        f" queries found {row['mean_gain']:+.2f}{spread}: variance and the number of steps account for"
        f" {inside - row['mean_gain']:.2f} (standard error of each gain about {row['standard_error']})."
    )
