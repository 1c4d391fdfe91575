"""The records of `summary.json`, by command, and of the parts that tuning leaves aside."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from bbsmooth.runs.records.ledger import UsageSummary
from bbsmooth.runs.records.values import Amount, Count, Share


class Interval(TypedDict):
    """A confidence interval."""

    low: float
    high: float


class MeanInterval(Interval):
    """A confidence interval for a mean, with the name of its bound; 0.1 wrote none and bet in the order of images."""

    bound: NotRequired[str]


class CurvePoint(Interval):
    """A share of images at one radius."""

    radius: Amount
    value: Share


class CertifySummary(TypedDict):
    """Summary of the certificates of a run, or of the lines of an imported log, together."""

    images: Count
    certificates: Count
    complete: bool
    abstained: Count
    confidence: Share
    certified_accuracy: list[CurvePoint] | None
    certified: list[CurvePoint] | None
    acr: Amount | None
    queries: Count
    seconds: Amount
    reasons: NotRequired[dict[str, Count]]
    decisions: NotRequired[list[dict[str, Any]] | None]
    family_wise: NotRequired[dict[str, Any] | None]
    false_discovery: NotRequired[dict[str, Any] | None]
    seen_before: NotRequired[bool]
    noisy_accuracy: NotRequired[Share | None]
    acr_interval: NotRequired[MeanInterval | None]
    incremental: NotRequired[dict[str, Any]]
    labels: NotRequired[str | None]
    usage: NotRequired[UsageSummary]


class ClaimEntry(TypedDict):
    """Answer to the claim about one group at one radius; `risk` is that of the answer being wrong."""

    group: str
    radius: Amount
    at_least: Share
    answer: Literal["shown", "refuted", "not shown"]
    risk: Share | None
    population: Count
    images: Count
    certified: Count
    refuted: Count
    undecided: Count


class AcceptSummary(TypedDict):
    """Answers of an acceptance test."""

    answer: Literal["shown", "refuted", "not shown"]
    answered: bool
    claims: list[ClaimEntry]
    images: Count
    queries: Count
    certified_by_chance: list[Share]
    refuted_by_chance: list[Share]
    seconds: Amount
    seen_before: bool
    usage: NotRequired[UsageSummary]


class Stability(TypedDict):
    """`stability.json`: what a surrogate taught the start of a tuning, and its part of a summary."""

    surrogate: str
    steps: Count
    judged: Count
    agreement_start: Share
    agreement: Share
    seconds: NotRequired[Amount]
    fingerprint: NotRequired[str]


class Pretraining(TypedDict):
    """`pretraining.json`, and its part of a summary; `stability` there only."""

    epochs: Count
    mean_squared_error: NotRequired[float | None]
    seconds: NotRequired[Amount]
    fingerprint: NotRequired[str]
    stability: NotRequired[Stability]


class TuneSummary(TypedDict):
    """Result of tuning; without steps, of pre-training alone."""

    pretraining: NotRequired[Pretraining | None]
    method: NotRequired[str]
    parameters: NotRequired[Count]
    steps: NotRequired[Count]
    queries: NotRequired[Count]
    best_step: NotRequired[Count]
    heldout_accuracy_start: NotRequired[Share]
    heldout_accuracy_best: NotRequired[Share]
    judged_radius: NotRequired[Amount]
    heldout_images: NotRequired[Count]
    heldout_certified_start: NotRequired[Share]
    heldout_certified_best: NotRequired[Share]
    gain_p_value: NotRequired[Share | None]
    verdict: NotRequired[str]
    usage: NotRequired[UsageSummary]
    sigma_choice: NotRequired[dict[str, Any]]


class AttackedShare(Interval):
    """A share of images with its interval."""

    value: Share


class AttackShare(TypedDict):
    """Empirical and certified robust accuracy at one radius."""

    radius: Amount
    empirical: AttackedShare
    certified: AttackedShare


class AttackSummary(TypedDict):
    """Findings of an attack."""

    images: Count
    method: str
    accuracy: list[AttackShare]
    contradictions: list[Count]
    usage: NotRequired[UsageSummary]


class Parameters(TypedDict):
    """Number of parameters of a network, and of those that were trained."""

    trained: Count
    all: Count
    share: Share


class TrainSummary(TypedDict):
    """Result of training."""

    method: str
    parameters: Parameters
    epochs: Count
    seconds_per_epoch: Amount
    peak_memory_bytes: NotRequired[Count | None]
    clean_accuracy: Share
    noisy_accuracy: Share


class PlanSummary(TypedDict):
    """Forecast cost of certification."""

    images: Count
    different: NotRequired[Count]
    confidence: Share
    pilot: dict[str, Any]
    expected: list[dict[str, Any]]
    acceptance: NotRequired[dict[str, Any]]
    sigma: NotRequired[Amount]
    sigmas: NotRequired[list[dict[str, Any]]]
    usage: NotRequired[UsageSummary]


SUMMARIES: dict[str, type[Any]] = {
    "certify": CertifySummary,
    "import-log": CertifySummary,
    "tune": TuneSummary,
    "attack": AttackSummary,
    "accept": AcceptSummary,
    "plan": PlanSummary,
    "train": TrainSummary,
}
"""By command."""
