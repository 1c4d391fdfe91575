"""What a manifest says of oracle, data, classifier and earlier runs."""

from __future__ import annotations

from typing import Literal, TypedDict

from bbsmooth.runs.records.values import Count, Settings, Shape


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


class SurrogateEntry(TypedDict):
    """A local classifier that taught a coordinator, in a manifest."""

    name: str
    architecture: str
    fingerprint: str
