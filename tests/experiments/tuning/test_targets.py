"""What was reached is computed from the results, and what was not measured is said to be so."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.tuning.targets import lines


def row(arm: str, queries: int, gains: list[float], feedback: str = "logits") -> dict[str, Any]:
    mean = sum(gains) / len(gains)
    return {
        "arm": arm,
        "queries": queries,
        "feedback": feedback if queries else "none",
        "accuracy": 50 + mean,
        "gains": gains,
        "mean_gain": mean,
        "spread_over_seeds": None,
        "standard_error": 0.5,
    }


def told(*rows: dict[str, Any]) -> str:
    controls = [row("denoiser", 0, [0.0]), row("denoiser-longer", 0, [1.0]), row("first-order", 0, [11.0])]
    return "\n".join(lines({"resnet20 0.25": {"rows": [*controls, *rows]}}))


@pytest.mark.parametrize(
    ("gain", "expected"),
    [(6.0, "closes 50% of the gap with 100,000 queries, logits: met."), (5.9, "100,000 queries, logits: missed.")],
)
def test_the_share_of_the_gap_is_counted_from_matched_local_training(gain: float, expected: str) -> None:
    assert expected in told(row("equaliser", 100_000, [gain]))


def test_a_smaller_budget_that_is_enough_is_enough_and_one_that_is_not_says_nothing() -> None:
    assert "closes 50% of the gap with 100,000 queries, logits: met. With 20,000" in told(row("equaliser", 20_000, [7]))
    assert "logits: not measured at that budget. With 20,000 it gains +2.00" in told(row("equaliser", 20_000, [2]))
    assert "closes 33% of the gap with 100,000 queries, labels: not measured." in told()


def test_one_run_below_the_control_that_it_starts_from_misses_the_target() -> None:
    found = told(row("equaliser", 20_000, [1.5, -0.5, 3.0]), row("longer-equaliser", 20_000, [1.0, 1.5, 1.2]))
    assert "it starts from: missed; from `denoiser` (+0.00 points) 2 of 3 runs are not below it" in found
    assert "from `denoiser-longer` (+1.00 points) 3 of 3" in found
    assert "it starts from: met; from `denoiser`" in told(row("equaliser", 20_000, [1.5, 0.0]))
    assert "it starts from: missed; " in told(row("longer-equaliser", 20_000, [1.5, 0.9]))


def test_an_ancestor_is_overtaken_only_with_few_enough_queries() -> None:
    ancestor = row("blackvip", 100_000, [2.0])
    assert "1/10 of its queries: met." in told(ancestor, row("equaliser", 5_000, [2.5]))
    assert "1/10 of its queries: not settled" in told(ancestor, row("equaliser", 20_000, [2.5]))
    assert "1/10 of its queries: missed" in told(ancestor, row("equaliser", 20_000, [1.5]))


def test_certified_gains_stand_beside_the_reference() -> None:
    def certified(arm: str, queries: int, gain: float) -> dict[str, Any]:
        return {"arm": arm, "queries": queries, "radius": 0.5, "gain": gain, "standard_error": 0.9, "seeds": [0, 1]}

    rows = [certified("denoiser", 0, 0.0), certified("first-order", 0, 3.2), certified("equaliser", 20_000, 1.25)]
    found = "\n".join(lines({"local-vit 1": {"rows": [], "certified": rows}}))
    assert "20,000 queries gain +1.25 points of certified accuracy (standard error 0.9, seeds 0, 1); +3.20 by" in found


def test_what_limits_is_split_into_capacity_and_variance() -> None:
    found = told(row("first-order-equaliser", 0, [6.0]), row("equaliser", 20_000, [4.0]))
    assert "capacity accounts for 5.00" in found
    assert "variance and the number of steps account for 2.00" in found
