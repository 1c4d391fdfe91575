from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import binom

from bbsmooth.certification.bounds.multiplicity import FalseDiscovery, FamilyWise
from bbsmooth.noise import Gaussian
from bbsmooth.runs.summary import summarize
from tests.bbsmooth.runs.test_certificates import record


def test_a_summary_counts() -> None:
    found = summarize(
        [record(0), record(1, radius=None), record(2, label=0), record(3, radius=0.1)], [0, 0.2], images=5, seconds=2
    )
    assert (found["images"], found["certificates"], found["complete"], found["abstained"]) == (5, 4, False, 1)
    assert [row["value"] for row in found["certified_accuracy"]] == [0.5, 0.25]
    assert [row["value"] for row in found["certified"]] == [0.75, 0.5]
    assert all(row["low"] < row["value"] < row["high"] for row in found["certified_accuracy"])
    assert found["acr"] == pytest.approx(0.1)
    assert found["noisy_accuracy"] == pytest.approx((3 * 0.75 + 0.25) / 4)
    assert found["queries"] == 200


def test_a_summary_of_nothing_or_without_labels_claims_no_accuracy() -> None:
    nothing = summarize([], [0], images=5, seconds=0)
    assert (nothing["certified_accuracy"], nothing["certified"], nothing["acr"]) == (None, None, None)
    unlabelled = summarize([record(label=None)], [0], images=1, seconds=0)
    assert unlabelled["certified_accuracy"] is None
    assert unlabelled["certified"][0]["value"] == 1.0


def test_the_interval_of_the_average_radius_needs_to_know_the_largest() -> None:
    records = [record(index, radius=0.3 if index % 3 else None) for index in range(60)]
    assert summarize(records, [0], images=60, seconds=0)["acr_interval"] is None
    found = summarize(records, [0], images=60, seconds=0, largest_radius=1.0)
    assert 0 < found["acr_interval"]["low"] < found["acr"] < found["acr_interval"]["high"] < 0.5


def test_the_order_of_the_lines_changes_no_summary() -> None:
    records = [record(index, radius=index / 50) for index in range(40)]
    there = summarize(records, [0.2], images=40, seconds=0, largest_radius=1.0)
    assert summarize(records[::-1], [0.2], images=40, seconds=0, largest_radius=1.0) == there


def decided(index: int, *states: str) -> dict[str, Any]:
    decisions = [{"radius": radius, "state": state} for radius, state in zip((0.1, 0.2), states, strict=True)]
    return record(index, method="sequential", decisions=decisions, reason=None)


def test_decisions_are_counted_by_radius() -> None:
    unanswered = record(3, radius=None, method="sequential", decisions=[], reason="refused")
    lines = [decided(0, "certified", "certified"), decided(1, "certified", "undecided"), unanswered]
    found = summarize([*lines, decided(2, "refuted", "refuted")], [0.1, 0.2], images=4, seconds=0)
    assert found["decisions"] == [
        {"radius": 0.1, "certified": 2, "undecided": 0, "refuted": 1, "unanswered": 1},
        {"radius": 0.2, "certified": 1, "undecided": 1, "refuted": 1, "unanswered": 1},
    ]
    assert found["reasons"] == {"refused": 1}
    assert found["noisy_accuracy"] is None  # an early end favours some votes
    assert summarize([record(0)], [0.1], images=1, seconds=0)["decisions"] is None


def proven(index: int, votes: int) -> dict[str, Any]:
    return record(index, counts={"1": votes, "0": 1000 - votes}, n=1000, reason=None) | {
        "noise": "gaussian",
        "sigma": 0.5,
        "total_variation": 0.0,
    }


def test_holm_counts_what_holds_for_all_images_at_once() -> None:
    votes, radius = [1000, 900, 890, 872, 600], 0.5
    need = Gaussian(0.5).probability(radius)
    p_values = sorted(float(binom.sf(count - 1, 1000, need)) for count in votes)
    expected = next(rank for rank, p in enumerate(p_values) if p > 0.01 / (5 - rank))
    bonferroni = sum(p <= 0.01 / 5 for p in p_values)
    assert 1 <= bonferroni < expected < 5
    lines = [proven(index, count) for index, count in enumerate(votes)]
    found = summarize(lines, [radius], images=5, seconds=0, family_wise=FamilyWise("holm", 0.01))
    assert found["family_wise"] == {
        "method": "holm",
        "alpha": 0.01,
        "images": 5,
        "certified": [{"radius": radius, "images": expected}],
    }


def test_holm_waits_for_the_last_image() -> None:
    found = summarize([proven(0, 1000)], [0.1], images=2, seconds=0, family_wise=FamilyWise("holm", 0.01))
    assert found["family_wise"]["certified"] is None


def test_a_refused_image_has_no_share_in_holms_count() -> None:
    refused = proven(1, 1000) | {"reason": "refused", "radius": None}
    found = summarize([proven(0, 1000), refused], [0.1], images=2, seconds=0, family_wise=FamilyWise("holm", 0.01))
    assert found["family_wise"]["certified"] == [{"radius": 0.1, "images": 1}]


def test_certificates_that_are_too_few_are_not_issued() -> None:
    lines = [record(0), record(1), record(2, radius=None), record(3, radius=None, reason="unproven")]
    issued = summarize(lines, [0.1], images=4, seconds=0, discovery=FalseDiscovery(0.1, 0.05))
    terms = {"rate": 0.1, "alpha": 0.05, "images": 4, "certified": 2, "needed": 2, "issued": True}
    assert issued["false_discovery"] == terms
    assert issued == summarize(lines, [0.1], images=4, seconds=0) | {"false_discovery": terms}
    kept = summarize(lines, [0.1], images=4, seconds=0, discovery=FalseDiscovery(0.08, 0.05))
    assert kept["false_discovery"] == {**terms, "rate": 0.08, "needed": 3, "issued": False}
    assert kept["abstained"] == 4
    assert kept["reasons"]["false discovery"] == 2
    assert (kept["certified"][0]["value"], kept["certified_accuracy"][0]["value"], kept["acr"]) == (0, 0, 0)
    assert not any(line.get("reason") == "false discovery" for line in lines)


def test_enough_certificates_are_issued_before_the_last_image_is_known() -> None:
    lines = [record(0), record(1)]
    assert summarize(lines, [0], images=40, seconds=0, discovery=FalseDiscovery(1, 0.05))["false_discovery"]["issued"]
    found = summarize(lines, [0], images=60, seconds=0, discovery=FalseDiscovery(1, 0.05))
    assert not found["false_discovery"]["issued"]
