"""The records of files with a line or an entry for each image, draw or step."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from bbsmooth.runs.records.values import Amount, Count, Label, Share


class DecisionRecord(TypedDict):
    """Decision of a certificate about one radius."""

    radius: Amount
    state: str
    draws: Count
    successes: Count


class CertificateLine(TypedDict):
    """A line of `certificates.jsonl`: one image; n0, n and alpha are null where an imported log does not say them."""

    index: Count
    label: Label | None
    predicted: Label | None
    correct: bool | None
    abstained: bool
    radius: Amount | None
    norm: str
    p_lower: Share | None
    selected: Label | None
    counts: dict[str, Count] | None
    n0: Count | None
    n: Count | None
    alpha: Share | None
    sigma: Amount
    noise: str
    total_variation: Share | None
    method: NotRequired[str]
    queries: Count
    seconds: Amount
    reason: NotRequired[str | None]
    selection_votes: NotRequired[Count]
    details: NotRequired[dict[str, Any]]
    decisions: NotRequired[list[DecisionRecord]]
    radius_l1: NotRequired[Amount | None]
    radius_l2: NotRequired[Amount | None]
    radius_linf: NotRequired[Amount | None]


class AcceptanceLine(TypedDict):
    """A line of `acceptance.jsonl`: a look at one image; one that was set aside may have another."""

    position: Count
    index: Count
    group: str
    occurrence: Count
    label: Label
    counts: dict[str, Count]
    draws: Count
    successes: Count
    decisions: list[DecisionRecord]
    reason: str | None
    aside: bool
    total_variation: Share
    seconds: Amount


class Prediction(TypedDict):
    """An entry of `predictions.json`: one file."""

    file: str
    predicted: Label | None
    abstained: bool
    reason: str | None
    p_value: Share
    alpha: Share
    counts: dict[str, Count]
    name: str | None


class HistoryEvent(TypedDict):
    """A line of `history.jsonl`: a step of `tune`, or an epoch of `train`. What diverged has none."""

    step: NotRequired[Count]
    epoch: NotRequired[Count]
    queries: NotRequired[Count]
    loss: NotRequired[float | None]
    seconds: NotRequired[float]
    heldout_accuracy: NotRequired[float | None]
    heldout_accuracy_start: NotRequired[Share]
    heldout_merit: NotRequired[float | None]
    heldout_certified: NotRequired[Share]
    heldout_certified_start: NotRequired[Share]
    best_step: NotRequired[Count]


class AttackLine(TypedDict):
    """A line of `attacks.jsonl`: one image."""

    index: Count
    label: Label | None
    selected: Label | None
    correct: bool | None
    radius: Amount | None
    found: Amount | None
    turned_into: Label | None
    p_value: Share | None
    seed: int
