"""The records in the files of a run directory: their fields, types and ranges.

Each is what `json` reads, a dict, whose fields a type checker knows and `bbsmooth.runs.decoding` has checked. Fields
that are not named here, as a later version may write, stay where they are when a record is written again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

Label = int | str
"""A class in files: its number, or in an open set, where numbers mean nothing, its name."""

Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0, le=1e300)]
Share = Annotated[float, Meta(ge=0, le=1)]
Shape = Annotated[list[Count], Meta(min_length=3, max_length=3)]
Settings = dict[str, Any]
"""What was asked for, by field of the settings classes."""


class OracleEntry(TypedDict):
    """The oracle in a manifest."""

    name: str
    fingerprint: str
    classes: list[str] | Literal["open"]
    image_shape: Shape | None
    feedback: str
    deterministic: bool


class DataEntry(TypedDict):
    """The images in a manifest."""

    name: str
    split: str
    fingerprint: str
    images: Count
    image_shape: Shape | None
    classes: list[str] | None


class Fingerprint(TypedDict):
    """A coordinator in a manifest."""

    fingerprint: str


class ClassifierEntry(TypedDict):
    """All that comes after the noise, in a manifest."""

    fingerprint: str
    eight_bit: bool


class ReusedEntry(TypedDict):
    """The run whose answers another one took."""

    run: str
    started: str
    settings: Settings


class EarlierEntry(TypedDict):
    """The run of the classifier before it was changed."""

    run: str
    started: str
    classifier: str


class LogEntry(TypedDict):
    """The file that was imported."""

    name: str
    sha256: str


class Manifest(TypedDict):
    """`manifest.json`: what was asked for, what that turned out to mean, and how the run stands."""

    format: int
    command: str
    settings: Settings
    status: str
    resumed: list[str]
    started: NotRequired[str]
    ended: NotRequired[str | None]
    arguments: NotRequired[list[str]]
    versions: NotRequired[dict[str, str]]
    oracle: NotRequired[OracleEntry]
    data: NotRequired[DataEntry]
    noise_algorithm: NotRequired[str]
    coordinator: NotRequired[Fingerprint | None]
    classifier: NotRequired[ClassifierEntry]
    reused: NotRequired[ReusedEntry]
    earlier: NotRequired[EarlierEntry]
    log: NotRequired[LogEntry]
    drift: NotRequired[dict[str, Any] | None]
    pilot: NotRequired[dict[str, Any]]
    hashes: NotRequired[dict[str, str] | None]


class CommittedImage(TypedDict):
    """An image in a commitment; its place in the data is said where that is not its place in the list."""

    sha256: str
    group: str
    index: NotRequired[Count]


class CommittedSeed(TypedDict):
    """Way in which the seed is made: given, or from the authority's stamp on the commitment."""

    how: Literal["given", "stamped"]
    seed: NotRequired[str]


class Commitment(TypedDict):
    """`commitment.json`: what a run fixed before its first query."""

    format: int
    command: str
    settings: Settings
    identity: dict[str, str]
    images: list[CommittedImage]
    order: str
    seed: CommittedSeed
    versions: dict[str, str]
    oracle: OracleEntry
    data: DataEntry
    noise_algorithm: str
    classifier: NotRequired[ClassifierEntry]
    coordinator: NotRequired[Fingerprint | None]
    surrogate: NotRequired[dict[str, str]]
    groups: NotRequired[dict[str, Count]]
    earlier: NotRequired[EarlierEntry]
    reused: NotRequired[dict[str, str]]


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


class BudgetEntry(TypedDict):
    """The limits in a ledger."""

    queries: Count | None
    attempts: Count | None
    money: Amount | None
    images_per_request: NotRequired[Count]


class ToldEntry(TypedDict):
    """Images of replies that told their tokens, and these."""

    answers: Count
    input_tokens: Count
    output_tokens: Count
    cached_tokens: NotRequired[Count]
    cache_write_tokens: NotRequired[Count]


class UsageEntry(ToldEntry):
    """Tokens of all replies that told them; those by batch, those of replies without an answer; the most of one."""

    most_input_tokens: NotRequired[Count]
    most_output_tokens: NotRequired[Count]
    batched: NotRequired[ToldEntry]
    without_answer: NotRequired[ToldEntry]


class UsageSummary(TypedDict):
    """Images and requests that were sent, tokens that replies told, and the bill: what is known, and the worst case."""

    images: Count
    requests: Count
    answers: NotRequired[Count]
    input_tokens: NotRequired[Count]
    output_tokens: NotRequired[Count]
    cached_tokens: NotRequired[Count]
    cache_write_tokens: NotRequired[Count]
    batched: NotRequired[ToldEntry]
    without_answer: NotRequired[ToldEntry]
    billed: NotRequired[Amount]
    worst_case: NotRequired[Amount]


class LedgerState(TypedDict):
    """`ledger.json`: what was spent."""

    budget: BudgetEntry
    spent: dict[str, Count]
    spent_total: Count
    left: Count | None
    attempts: Count
    price_per_1000: Amount | None
    price: Amount
    batched: NotRequired[Count]
    batch_price_per_1000: NotRequired[Amount | None]
    batch_discount: NotRequired[Share | None]
    billed: NotRequired[Amount]
    prices: NotRequired[dict[str, Any]]
    retries: NotRequired[Count]
    bytes: NotRequired[Count]
    bytes_sent: NotRequired[Count]
    bytes_received: NotRequired[Count]
    latency: NotRequired[dict[str, Amount]]
    latency_bins: NotRequired[dict[str, Count]]
    usage: NotRequired[UsageEntry]
    changes: NotRequired[Count]
    reserved: NotRequired[dict[str, Count]]
    checksum: NotRequired[str]


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


class SurrogateEntry(TypedDict):
    """A local classifier that taught a coordinator, in a manifest."""

    name: str
    architecture: str
    fingerprint: str


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


class _DrawingSettings(TypedDict):
    noise: str
    seed: int


class SmoothedSettings(_DrawingSettings):
    """Settings of every command that draws noise."""

    sigma: Amount


class _AskingSettings(TypedDict):
    oracle: str
    budget: Count | None
    max_price: Amount | None
    prices: NotRequired[str | None]
    batch_size: NotRequired[int]


class SpendingSettings(SmoothedSettings, _AskingSettings):
    """Settings of every command that asks an oracle under one noise."""


class CertifySettings(SpendingSettings):
    """Settings of `certify`."""

    data: str
    num_selection: Count
    num_estimation: Count
    alpha: Share
    radii: list[Amount]
    limit: NotRequired[Count | None]
    method: NotRequired[str]
    bound: NotRequired[str]
    beta: NotRequired[Share]
    tolerance: NotRequired[Share]
    labels: NotRequired[str]
    family_wise: NotRequired[str | None]
    false_discovery_rate: NotRequired[Share | None]
    earlier_selection: NotRequired[Count]
    earlier_estimation: NotRequired[Count]
    coordinator: str | None
    data_root: NotRequired[str | None]
    resize: NotRequired[bool]
    dtype: NotRequired[str]


class AcceptSettings(SpendingSettings):
    """Settings of `accept`."""

    data: str
    radii: list[Amount]
    at_least: Share
    alpha_total: Share
    beta: Share
    population: str
    num_estimation: Count
    max_images: Count
    limit: Count | None
    groups: str | None
    image_alpha: Share
    image_beta: Share
    coordinator: str | None
    data_root: str | None
    resize: bool


class PlanSettings(_DrawingSettings, _AskingSettings):
    """Settings of `plan`, whose sigma may be what it is asked for: auto, one of `sigmas`."""

    sigma: Amount | Literal["auto"]
    sigmas: NotRequired[list[Amount]]
    data: str
    num_selection: Count
    num_estimation: Count
    alpha: Share
    radii: list[Amount]


class TuneSettings(_DrawingSettings, _AskingSettings):
    """Settings of `tune`, whose sigma is what was asked for, auto, until it is one of `sigmas`."""

    sigma: Amount | Literal["auto"]
    sigmas: NotRequired[list[Amount]]
    data: str


class PredictSettings(SpendingSettings):
    """Settings of `predict`."""

    files: list[str]
    n: Count
    alpha: Share


class AttackSettings(SpendingSettings):
    """Settings of `attack`."""

    radii: list[Amount]
    alpha: Share


class ImportSettings(TypedDict):
    """Settings of `import-log`; null where nobody said."""

    sigma: Amount
    noise: str
    alpha: Share | None
    num_selection: Count | None
    num_estimation: Count | None
    radii: list[Amount]


class TrainSettings(SmoothedSettings):
    """Settings of `train`."""

    data: str


class _Asking(TypedDict):
    oracle: OracleEntry
    noise_algorithm: str


class _AskingAboutData(_Asking):
    data: DataEntry


class CertifyManifest(_AskingAboutData):
    """Entries that the manifest of `certify` must hold besides."""

    settings: CertifySettings
    classifier: NotRequired[ClassifierEntry]


class AcceptManifest(_AskingAboutData):
    """Entries that the manifest of `accept` must hold besides."""

    settings: AcceptSettings
    classifier: ClassifierEntry
    groups: dict[str, Count]


class PlanManifest(_AskingAboutData):
    """Entries that the manifest of `plan` must hold besides."""

    settings: PlanSettings


class TuneManifest(_AskingAboutData):
    """Entries that the manifest of `tune` must hold besides."""

    settings: TuneSettings
    surrogate: NotRequired[SurrogateEntry]
    sigma_choice: NotRequired[dict[str, Any]]


class AttackManifest(_AskingAboutData):
    """Entries that the manifest of `attack` must hold besides."""

    settings: AttackSettings


class PredictManifest(_Asking):
    """Entries that the manifest of `predict` must hold besides."""

    settings: PredictSettings


class ImportManifest(TypedDict):
    """Entries that the manifest of `import-log` must hold besides."""

    settings: ImportSettings


class TrainManifest(TypedDict):
    """Entries that the manifest of `train` must hold besides."""

    settings: TrainSettings
    data: DataEntry
    surrogates: NotRequired[list[SurrogateEntry]]


MANIFESTS: dict[str, type[Any]] = {
    "certify": CertifyManifest,
    "accept": AcceptManifest,
    "plan": PlanManifest,
    "tune": TuneManifest,
    "attack": AttackManifest,
    "predict": PredictManifest,
    "import-log": ImportManifest,
    "train": TrainManifest,
}
"""By command."""

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
