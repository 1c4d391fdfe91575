"""The settings in a manifest, by command: those that are read again."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from bbsmooth.runs.records.values import Amount, Count, Share


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
