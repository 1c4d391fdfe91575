"""The record of `commitment.json`: what a run fixed before its first query."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from bbsmooth.runs.records.entries import ClassifierEntry, DataEntry, EarlierEntry, Fingerprint, OracleEntry
from bbsmooth.runs.records.values import Count, Settings


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
