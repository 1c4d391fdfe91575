"""The record of `manifest.json`, by command."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from bbsmooth.runs.records.entries import (
    ClassifierEntry,
    DataEntry,
    EarlierEntry,
    Fingerprint,
    LogEntry,
    OracleEntry,
    ReusedEntry,
    SurrogateEntry,
)
from bbsmooth.runs.records.settings import (
    AcceptSettings,
    AttackSettings,
    CertifySettings,
    ImportSettings,
    PlanSettings,
    PredictSettings,
    TrainSettings,
    TuneSettings,
)
from bbsmooth.runs.records.values import Count, Settings


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
    raised: NotRequired[dict[str, Any]]
    hashes: NotRequired[dict[str, str] | None]


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
